package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// framework must be imported by the root package itself: the buildpack looks for it there, and its generated main does not compile without it.
const framework = "github.com/GoogleCloudPlatform/functions-framework-go/functions"

// maxBytes bounds a function's source. Google takes 100 MB; what is larger than this holds something that does not belong there.
const maxBytes = 16 << 20

// zipTime is the time of every file in a zip, the earliest that the format knows.
var zipTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

var namePattern = regexp.MustCompile(`^[a-z]+$`)

// file is one file of a staged source.
type file struct {
	path string // slash-separated, from the zip's root
	data []byte
}

// listed is what go list tells of a package.
type listed struct {
	ImportPath        string
	Dir               string
	GoFiles, CgoFiles []string
	EmbedFiles        []string
	Module            *struct {
		Path string
		Main bool
	}
}

// collect returns the files of a function's source, sorted by path.
func collect(ctx context.Context, root, name string) ([]file, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("%q is no function's name", name)
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil { // as go list reports folders
		return nil, err
	}
	packages, err := list(ctx, root, "./functions/"+name)
	if err != nil {
		return nil, err
	}
	paths := []string{"go.mod", "go.sum"}
	module := ""
	for _, p := range packages {
		if p.Module == nil || !p.Module.Main {
			continue
		}
		if len(p.CgoFiles) > 0 {
			return nil, fmt.Errorf("%s needs cgo, which the functions are built without", p.ImportPath)
		}
		module = p.Module.Path
		for _, f := range slices.Concat(p.GoFiles, p.EmbedFiles) {
			rel, err := filepath.Rel(root, filepath.Join(p.Dir, f))
			if err != nil {
				return nil, err
			}
			paths = append(paths, filepath.ToSlash(rel))
		}
	}
	if module == "" {
		return nil, errors.New("go list names no package of this module")
	}
	files := []file{{path: "function.go", data: rootPackage(module, name)}}
	size := 0
	for _, p := range paths {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
		if err != nil {
			return nil, err
		}
		if size += len(data); size > maxBytes {
			return nil, fmt.Errorf("the source is larger than %d bytes at %s", maxBytes, p)
		}
		files = append(files, file{path: p, data: data})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// list returns a package and all that it depends on, as built for the cloud.
func list(ctx context.Context, root, pkg string) ([]listed, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,CgoFiles,EmbedFiles,Module", pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w: %s", pkg, err, strings.TrimSpace(problems.String()))
	}
	var out []listed
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("read go list's answer: %w", err)
		}
		out = append(out, p)
	}
}

// rootPackage is the package that the buildpack builds.
func rootPackage(module, name string) []byte {
	return fmt.Appendf(nil, "// Package function is the root of the deployed function %s, written by scripts/stage.\npackage function\n\nimport (\n\t_ %q // the buildpack looks for it here\n\n\t_ %q // registers the function\n)\n",
		name, framework, module+"/functions/"+name)
}

// zipName bears a hash of what the zip holds.
func zipName(name string, files []file) string {
	h := sha256.New()
	var size [8]byte
	field := func(b []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	for _, f := range files {
		field([]byte(f.path))
		field(f.data)
	}
	return name + "-" + hex.EncodeToString(h.Sum(nil)[:10]) + ".zip"
}

// pack writes a zip that depends on nothing but the files.
func pack(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.path, Method: zip.Deflate, Modified: zipTime}
		header.SetMode(0o644)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, fmt.Errorf("zip %s: %w", f.path, err)
		}
		if _, err := entry.Write(f.data); err != nil {
			return nil, fmt.Errorf("zip %s: %w", f.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("zip: %w", err)
	}
	return out.Bytes(), nil
}
