package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

const module = "github.com/fluxori/ai-credits/"

// maxNesting bounds how deep configurations lie in each other.
const maxNesting = 4

// settings returns the environment variables that a function's configuration reads, and whether it does not start without them.
func settings(root, function string) (map[string]bool, error) {
	out := map[string]bool{}
	if err := fields(root, "functions/"+function, "config", out, maxNesting); err != nil {
		return nil, err
	}
	return out, nil
}

// fields adds the variables of a struct, and of structs in it.
func fields(root, dir, name string, out map[string]bool, depth int) error {
	if depth == 0 {
		return fmt.Errorf("%s: the configuration lies in itself", dir)
	}
	file, s, err := structure(root, dir, name)
	if err != nil {
		return err
	}
	for _, f := range s.Fields.List {
		if f.Tag != nil {
			text, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				return err
			}
			if env := reflect.StructTag(text).Get("env"); env != "" {
				key, rest, _ := strings.Cut(env, ",")
				out[strings.TrimSpace(key)] = strings.TrimSpace(rest) == "required"
				continue
			}
		}
		x, ok := f.Type.(*ast.SelectorExpr)
		if !ok {
			return fmt.Errorf("%s: a field of %s has neither an env tag nor a type of another package", dir, name)
		}
		pkg, ok := x.X.(*ast.Ident)
		if !ok {
			return fmt.Errorf("%s: a field of %s has a type that is not understood", dir, name)
		}
		imported, err := importOf(file, pkg.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if err := fields(root, imported, x.Sel.Name, out, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// importOf returns the folder of a package of ours that a file imports under its own name.
func importOf(file *ast.File, name string) (string, error) {
	for _, i := range file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return "", err
		}
		if local, ours := strings.CutPrefix(p, module); ours && strings.HasSuffix(local, "/"+name) {
			return local, nil
		}
	}
	return "", fmt.Errorf("no package %s of this module is imported", name)
}

// structure finds a struct in the source of a package.
func structure(root, dir, name string) (file *ast.File, s *ast.StructType, err error) {
	err = eachSource(filepath.Join(root, filepath.FromSlash(dir)), func(path string) error {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok && t.Name.Name == name {
				if found, ok := t.Type.(*ast.StructType); ok {
					file, s = parsed, found
				}
			}
			return s == nil
		})
		return nil
	})
	if err == nil && s == nil {
		err = fmt.Errorf("%s has no struct %s", dir, name)
	}
	return file, s, err
}

// eachSource calls f with each Go file of a folder and those below it, without tests.
func eachSource(dir string, f func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		return f(path)
	})
}
