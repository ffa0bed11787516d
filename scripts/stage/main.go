// Command stage writes each function's deployable source: a zip as Cloud Functions' Go buildpack wants it.
//
//	go run ./scripts/stage [-root DIR] [-out DIR] [FUNCTION…]
//
// The buildpack builds the package at the root of what it is given, so a zip holds go.mod, go.sum, the packages of this module that the
// function needs (with embedded files, without tests), and a root package that imports the function. Beside the zips stands
// sources.tfvars.json, which tells Terraform each function's zip.
//
// Invariants: the same source gives the same zip, byte for byte; its name bears a hash of what it holds, so that only functions whose own
// source changed are deployed again; nothing is staged that Go would not compile into the function.
//
// It does not own how functions are deployed (terraform) nor how they are built (the buildpack).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// timeout bounds a run: go list loads each function's packages.
const timeout = 5 * time.Minute

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stage:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("stage", flag.ContinueOnError)
	root := flags.String("root", ".", "the project's root")
	out := flags.String("out", ".staged", "where the zips go")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		var err error
		if names, err = functions(*root); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	sources := map[string]string{}
	for _, name := range names {
		files, err := collect(ctx, *root, name)
		if err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		data, err := pack(files)
		if err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		object := zipName(name, files)
		if err := os.WriteFile(filepath.Join(*out, object), data, 0o644); err != nil {
			return err
		}
		sources[name] = object
		fmt.Fprintf(stdout, "%s: %d files, %d KiB\n", object, len(files), (len(data)+1023)/1024)
	}
	vars, err := json.MarshalIndent(map[string]any{"sources": sources}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "sources.tfvars.json"), append(vars, '\n'), 0o644)
}

// functions lists the folders of functions/.
func functions(root string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no folder in functions")
	}
	return out, nil
}
