package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// listFile holds the mutations, beneath the repository's root.
const listFile = "scripts/mutate/mutations.json"

// mutation is a way to break the code.
type mutation struct {
	// Name says what is wrong then.
	Name string `json:"name"`
	// File is the path beneath the root, Old the text in it that New takes the place of.
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
	// CaughtBy is a test that notices. It is one of the file's package, unless Tests is the path of another.
	CaughtBy string `json:"caught_by"`
	Tests    string `json:"tests,omitempty"`
}

// folder is that of the package whose tests are to notice, beneath the root.
func (m mutation) folder() string { return cmp.Or(m.Tests, filepath.Dir(m.File)) }

// pkg is that package.
func (m mutation) pkg() string { return "./" + filepath.ToSlash(m.folder()) }

// apply is the file with the mutation.
func (m mutation) apply(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.Old)); n != 1 || m.Old == m.New {
		return nil, fmt.Errorf("%q no longer fits: its text is %d times in %s", m.Name, n, m.File)
	}
	return bytes.Replace(source, []byte(m.Old), []byte(m.New), 1), nil
}

// load reads the list, and tells whatever of it does not fit the code.
func load(root string) ([]mutation, error) {
	text, err := os.ReadFile(filepath.Join(root, listFile))
	if err != nil {
		return nil, err
	}
	var list []mutation
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", listFile, err)
	}
	names := map[string]bool{}
	var wrong []error
	for _, m := range list {
		if names[m.Name] {
			wrong = append(wrong, fmt.Errorf("%q stands twice", m.Name))
		}
		names[m.Name] = true
		if _, err := m.apply(root); err != nil {
			wrong = append(wrong, err)
		}
	}
	return list, errors.Join(wrong...)
}

// save writes the list.
func save(root string, list []mutation) error {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(list); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, listFile), out.Bytes(), 0o644)
}

// findRoot is where the module is.
func findRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("ask go where the module is: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
