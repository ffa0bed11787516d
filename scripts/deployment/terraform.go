package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// registry says that Terraform gets the provider from its registry.
const registry = "registry"

// checkTerraform checks terraform/ with the real lists in place of those that its tests bring.
func checkTerraform(ctx context.Context, root, checker string) (err error) {
	work, err := os.MkdirTemp("", "deployment")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := os.CopyFS(work, os.DirFS(filepath.Join(root, "terraform"))); err != nil {
		return err
	}
	for _, list := range []string{"wiring", "limits", "indexes"} {
		data, err := os.ReadFile(filepath.Join(root, "shared", list, list+".json"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(work, "tests", "project", "shared", list, list+".json"), data, 0o644); err != nil {
			return err
		}
	}
	commands := [][]string{{checker, work}}
	if checker == registry {
		commands = [][]string{
			{"terraform", "fmt", "-check", "-recursive", "-diff"},
			{"terraform", "init", "-backend=false", "-input=false", "-no-color"},
			{"terraform", "validate", "-no-color"},
			{"terraform", "test", "-no-color"},
		}
	}
	for _, c := range commands {
		cmd := exec.CommandContext(ctx, c[0], c[1:]...)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	return nil
}
