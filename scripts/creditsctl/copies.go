package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"

	"github.com/fluxori/ai-credits/shared/archive"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// copyVerbs are the verbs that read wallets where they are stored.
func copyVerbs() []verb {
	return []verb{
		{name: "wallet export", operands: []string{"ORG"}, example: "wallet export acme -project PROJECT", summary: "copy a wallet and all beneath it to a file, at one moment", prepare: func(t *tool, flags *flag.FlagSet) action {
			w := t.walletFlags(flags)
			flags.StringVar(&w.file, "o", "", "the file; ORG.wallet.jsonl unless given. One that is there is not written over")
			return func(ctx context.Context, o []string) error { return w.export(ctx, o[0]) }
		}},
		{name: "wallet prove", operands: []string{"FILE"}, example: "wallet prove acme.wallet.jsonl -project PROJECT -database restored", summary: "hold a database's wallet to a copy, and its figures to its entries", prepare: func(t *tool, flags *flag.FlagSet) action {
			w := t.walletFlags(flags)
			return func(ctx context.Context, o []string) error { return w.prove(ctx, o[0]) }
		}},
		{name: "wallet audit", operands: []string{"ORG"}, example: "wallet audit acme -project PROJECT", summary: "hold a wallet's figures to its entries now", prepare: func(t *tool, flags *flag.FlagSet) action {
			w := t.walletFlags(flags)
			return func(ctx context.Context, o []string) error { return w.audit(ctx, o[0]) }
		}},
	}
}

// wallets runs the verbs that read wallets where they are stored.
type wallets struct {
	*tool
	project, database, file string
}

func (t *tool) walletFlags(flags *flag.FlagSet) *wallets {
	w := &wallets{tool: t}
	flags.StringVar(&w.project, "project", t.setting("GOOGLE_CLOUD_PROJECT"), "the project; GOOGLE_CLOUD_PROJECT unless given")
	flags.StringVar(&w.database, "database", "(default)", "the database, such as restored")
	return w
}

// with opens the database for as long as do takes.
func (w *wallets) with(ctx context.Context, do func(archive.Database) error) (err error) {
	if w.project == "" {
		return fmt.Errorf("%w: -project is missing", errUsage)
	}
	client, err := firestore.NewClient(ctx, w.options...)
	if err != nil {
		return fmt.Errorf("open Firestore: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return do(archive.Database{Client: client, Name: "projects/" + w.project + "/databases/" + w.database})
}

// exported is what export answers.
type exported struct {
	archive.Copied

	File string `json:"file"`
}

// export copies a wallet. Only who runs it may read the file: it holds what people wrote.
func (w *wallets) export(ctx context.Context, org string) error {
	if w.file == "" {
		w.file = org + ".wallet.jsonl"
	}
	return w.with(ctx, func(db archive.Database) (err error) {
		file, err := os.OpenFile(w.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, file.Close()); err != nil {
				err = errors.Join(err, os.Remove(w.file)) // half a copy is none
			}
		}()
		copied, err := archive.Write(ctx, db, org, time.Now(), file)
		if err != nil {
			return err
		}
		if w.json {
			return w.printValue(exported{copied, w.file})
		}
		return w.tell(fact{"file", w.file}, fact{"documents", strconv.Itoa(copied.Documents)}, fact{"sha256", copied.SHA256})
	})
}

// errNotProved says that a wallet is not what was copied, or does not agree with itself.
var errNotProved = errors.New("the wallet is not proved")

// proved is what prove answers.
type proved struct {
	archive.Comparison

	Same bool `json:"same"`
	// Replay is empty where the entries make the figures, and otherwise the first thing that does not agree.
	Replay string `json:"replay"`
}

// prove compares a wallet with a copy of it, and replays its entries.
func (w *wallets) prove(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return w.with(ctx, func(db archive.Database) error {
		c, err := archive.Compare(ctx, db, file)
		if err != nil {
			return err
		}
		p := proved{Comparison: c, Same: c.Same()}
		if p.Replay, err = replay(ctx, db, c.Org); err != nil {
			return err
		}
		if err := w.tellProof(p); err != nil {
			return err
		}
		if !p.Same || p.Replay != "" {
			return fmt.Errorf("%w: %s in %s", errNotProved, c.Org, w.database)
		}
		return nil
	})
}

// replay holds a wallet's figures to its entries, and returns what does not agree, or that it cannot be told; nothing if all does.
func replay(ctx context.Context, db archive.Database, org string) (string, error) {
	l, err := ledger.New(db.Client, db.Name, ledger.Options{Now: time.Now})
	if err != nil {
		return "", err
	}
	if err := l.Audit(ctx, org); err != nil {
		return err.Error(), nil
	}
	return "", nil
}

// audited is what audit answers.
type audited struct {
	OrgID string `json:"org_id"`
	// Replay is as in proved.
	Replay string `json:"replay"`
}

// audit replays a wallet's entries. It changes nothing: what the hourly audit finds, freezes the wallet.
func (w *wallets) audit(ctx context.Context, org string) error {
	return w.with(ctx, func(db archive.Database) (err error) {
		a := audited{OrgID: org}
		if a.Replay, err = replay(ctx, db, org); err != nil {
			return err
		}
		if w.json {
			err = w.printValue(a)
		} else {
			err = w.tell(fact{"organisation", a.OrgID}, fact{"entries replayed", orAgrees(a.Replay)})
		}
		if err == nil && a.Replay != "" {
			err = fmt.Errorf("%w: %s in %s", errNotProved, org, w.database)
		}
		return err
	})
}

// tellProof writes down what a comparison found.
func (w *wallets) tellProof(p proved) error {
	if w.json {
		return w.printValue(p)
	}
	documents := func(paths archive.Paths) string { return fmt.Sprintf("%d documents %q", paths.Count, paths.First) }
	return w.tell(
		fact{"in the copy only", documents(p.Missing)}, fact{"in the database only", documents(p.Extra)}, fact{"different", documents(p.Changed)},
		fact{"entries replayed", orAgrees(p.Replay)},
	)
}

func orAgrees(replay string) string {
	if replay == "" {
		return "all figures agree"
	}
	return replay
}
