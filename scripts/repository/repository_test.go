package repository

import (
	"bytes"
	"go/ast"
	"go/build/constraint"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fluxori/ai-credits/"

// top is all that may stand at the top of the tree, beside dotfiles.
var top = []string{"functions", "shared", "terraform", "scripts", "cloudbuild.yaml", "go.mod", "go.sum", "README.md", "LICENSE"}

// forbiddenNames say nothing about what a package is for.
var forbiddenNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "model", "models", "project", "lib", "manager"}

// maxLines is how long a file may be before it is no longer one thing.
const maxLines = 400

// file is one Go file of the tree.
type file struct {
	path   string // slash-separated, from the root
	dir    string
	test   bool
	source []byte
	ast    *ast.File
	fset   *token.FileSet
}

func (f file) imports() []string {
	var out []string
	for _, i := range f.ast.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			out = append(out, p)
		}
	}
	return out
}

func root(t *testing.T) string {
	t.Helper()
	r, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func goFiles(t *testing.T) []file {
	t.Helper()
	base := root(t)
	var out []file
	err := filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != base && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		source, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, p, source, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, file{path: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), source: source, ast: parsed, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found only %d Go files", len(out))
	}
	return out
}

func TestTopLevelHoldsOnlyTheFrame(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(top, e.Name()) {
			t.Errorf("the top level holds %s", e.Name())
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		for _, imported := range f.imports() {
			if why := forbiddenImport(f, imported); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

// forbiddenImport says why a file may not import a package, or nothing.
func forbiddenImport(f file, imported string) string {
	local, ours := strings.CutPrefix(imported, module)
	within := func(dir string) bool { return f.dir == dir || strings.HasPrefix(f.dir, dir+"/") }
	switch {
	case within("shared") && ours && !strings.HasPrefix(local, "shared/"):
		return "shared packages know neither functions nor scripts"
	case within("shared") && !within("shared/embedded") && !f.test && !strings.HasSuffix(f.dir, "test") && strings.HasPrefix(local, "shared/embedded/"):
		return "what is deployed holds no stand-ins"
	case within("functions") && strings.HasPrefix(local, "scripts/"):
		return "functions do not know scripts"
	case within("functions") && strings.HasPrefix(local, "functions/") && !within(strings.Join(strings.Split(local, "/")[:2], "/")):
		return "functions never import each other"
	case within("functions") && !f.test && strings.HasPrefix(local, "shared/embedded/"):
		return "what is deployed holds no stand-ins"
	case f.dir == "shared/credit" && !f.test && strings.Contains(strings.Split(imported, "/")[0], "."):
		return "the domain imports nothing but the standard library"
	case f.dir == "shared/credit" && !f.test && (strings.HasPrefix(imported, "net") || strings.HasPrefix(imported, "database") || imported == "os"):
		return "the domain knows no transport, no storage, no machine"
	case strings.HasPrefix(imported, "github.com/GoogleCloudPlatform/functions-framework-go") && f.dir != "shared/serve":
		return "only shared/serve knows the functions framework"
	case strings.HasPrefix(imported, "cloud.google.com/go/pubsub") && !strings.HasPrefix(imported, "cloud.google.com/go/pubsub/v2"):
		return "version 1 ends on 31 December 2026"
	case strings.HasPrefix(imported, "github.com/stripe/stripe-go/") && !strings.HasPrefix(imported, "github.com/stripe/stripe-go/v76"):
		return "the API version is that of v76"
	}
	return ""
}

func TestTheDomainReadsNoClock(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if f.dir != "shared/credit" || f.test {
			continue
		}
		for _, name := range []string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "Tick"} {
			for _, pos := range selectors(f, "time", name) {
				t.Errorf("%s: time.%s in the domain", f.fset.Position(pos), name)
			}
		}
	}
}

// TestOnlyProblemKnowsErrorStatuses lets stand-ins for other servers, and scripts, answer as those servers do, and serve's log tell how grave an
// answer was.
func TestOnlyProblemKnowsErrorStatuses(t *testing.T) {
	t.Parallel()
	success := regexp.MustCompile(`^Status(OK|Created|Accepted|NoContent|Found|SeeOther|NotModified|MovedPermanently|TemporaryRedirect|Text)$`)
	for _, f := range goFiles(t) {
		if f.test || f.dir == "shared/problem" || f.dir == "shared/serve" || strings.HasPrefix(f.dir, "shared/embedded") || strings.HasPrefix(f.dir, "scripts") || strings.HasSuffix(f.dir, "test") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "http" && strings.HasPrefix(s.Sel.Name, "Status") && !success.MatchString(s.Sel.Name) {
				t.Errorf("%s: http.%s belongs to shared/problem", f.fset.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}

// TestWhatTakesMoneyIsOpenedInOnePlace: a receiver that somebody put together alone would settle payments without their bonuses, or would not hear
// of new cards.
func TestWhatTakesMoneyIsOpenedInOnePlace(t *testing.T) {
	t.Parallel()
	found := 0
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		for _, name := range []string{"NewShop", "NewReceiver", "NewRefunder"} {
			for _, pos := range selectors(f, "payments", name) {
				found++
				if f.dir != "shared/merchant" {
					t.Errorf("%s: payments.%s is for shared/merchant to call", f.fset.Position(pos), name)
				}
			}
		}
	}
	if found == 0 {
		t.Error("nobody opens what takes money")
	}
}

func TestPackageNamesSayWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	commented := map[string]bool{}
	for _, f := range goFiles(t) {
		name := f.ast.Name.Name
		if slices.Contains(forbiddenNames, strings.TrimSuffix(name, "_test")) || slices.Contains(forbiddenNames, path.Base(f.dir)) {
			t.Errorf("%s: package %s says nothing about what it is for", f.path, name)
		}
		if !f.test {
			commented[f.dir] = commented[f.dir] || f.ast.Doc != nil
		}
	}
	for dir, ok := range commented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestFilesAreFormattedAndOneThingEach(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		formatted, err := format.Source(f.source)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		if !bytes.Equal(formatted, f.source) {
			t.Errorf("%s is not formatted", f.path)
		}
		if n := bytes.Count(f.source, []byte("\n")); !f.test && n > maxLines {
			t.Errorf("%s has %d lines; more than %d are rarely one thing", f.path, n, maxLines)
		}
	}
}

// TestOnlyNeedsSkips keeps every reason to skip in one package, and makes sure that CI turns each of them into a failure.
func TestOnlyNeedsSkips(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if f.dir == "shared/needs" {
			continue
		}
		if bytes.Contains(f.source, []byte(`"CREDITS_TEST_`+`FULL"`)) {
			t.Errorf("%s asks by itself whether to take its time; shared/needs knows", f.path)
		}
		for _, pos := range skips(f) {
			t.Errorf("%s: a test is left out here; shared/needs says what a test needs", f.fset.Position(pos))
		}
	}
	ci, err := os.ReadFile(filepath.Join(root(t), ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`"(CREDITS_TEST_[A-Z_]+)"`)
	for _, f := range goFiles(t) {
		if f.dir != "shared/needs" || f.test {
			continue
		}
		for _, m := range setting.FindAllStringSubmatch(string(f.source), -1) {
			if !bytes.Contains(ci, []byte(m[1])) {
				t.Errorf("%s reads %s, which .ci/run does not set", f.path, m[1])
			}
		}
	}
}

// TestTheReadmeMapsTheFolders keeps the README's map true.
func TestTheReadmeMapsTheFolders(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		parts := strings.Split(f.dir, "/")
		if len(parts) < 2 {
			t.Errorf("%s stands outside functions, shared and scripts", f.path)
			continue
		}
		folder := parts[0] + "/" + parts[1]
		if !seen[folder] && !bytes.Contains(readme, []byte("`"+folder)) {
			t.Errorf("README.md does not name `%s`", folder)
		}
		seen[folder] = true
	}
}

// skips returns where a file leaves tests out: by a method of whatever is called like testing's, by -short, or, in a
// test file, by a build constraint, under which it may never be compiled.
func skips(f file) []token.Pos {
	var out []token.Pos
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
			out = append(out, s.Pos())
		}
		return true
	})
	out = append(out, selectors(f, "testing", "Short")...)
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			if f.test && constraint.IsGoBuild(c.Text) && c.Pos() < f.ast.Package {
				out = append(out, c.Pos())
			}
		}
	}
	return out
}

func TestSkipsAreFoundUnderAnyName(t *testing.T) {
	t.Parallel()
	const leave = "Skip" // named here alone, so that whoever looks for calls of it in this tree finds none that is an example
	for name, tc := range map[string]struct {
		source string
		want   int
	}{
		"none":               {"package p\n\nfunc f(t T) { t.Fatal(1) }\n", 0},
		"t":                  {"package p\n\nfunc f(t T) { t." + leave + "(1) }\n", 1},
		"another name":       {"package p\n\nfunc f(tt T) { tt." + leave + "f(1) }\n", 1},
		"a field":            {"package p\n\nfunc f(s S) { s.t." + leave + "Now() }\n", 1},
		"a method's value":   {"package p\n\nfunc f(t T) func() { return t." + leave + "Now }\n", 1},
		"short":              {"package p\n\nfunc f() bool { return testing.Short() }\n", 1},
		"a build constraint": {"//go:build integration\n\npackage p\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, "p_test.go", tc.source, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if got := skips(file{path: "p_test.go", test: true, ast: parsed, fset: fset}); len(got) != tc.want {
				t.Errorf("%d found, want %d", len(got), tc.want)
			}
		})
	}
}

func selectors(f file, pkg, name string) []token.Pos {
	var out []token.Pos
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg {
				out = append(out, s.Pos())
			}
		}
		return true
	})
	return out
}
