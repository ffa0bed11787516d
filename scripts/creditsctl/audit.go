package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/archive"
	"github.com/fluxori/ai-credits/shared/audit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// auditVerbs are the verbs about proving wallets.
func auditVerbs() []verb {
	return []verb{
		{name: "audit accept", operands: []string{"ORG"}, asks: true, example: "audit accept acme -by thandi -reason 'roll-up of 3 May mended by hand' -project PROJECT", summary: "take what is stored of a wallet as right, after it was looked into and mended", prepare: func(t *tool, flags *flag.FlagSet) action {
			a := t.auditFlags(flags)
			flags.StringVar(&a.by, "by", "", "who says so")
			flags.StringVar(&a.reason, "reason", "", "why it is right")
			return func(ctx context.Context, o []string) error { return a.accept(ctx, o[0]) }
		}},
		{name: "audit", operands: []string{"ORG"}, example: "audit acme -whole -timeout 1h -project PROJECT", summary: "prove a wallet by its entries; one that does not agree is frozen", prepare: func(t *tool, flags *flag.FlagSet) action {
			a := t.auditFlags(flags)
			flags.BoolVar(&a.whole, "whole", false, "from the first entry, whatever was proven before")
			return func(ctx context.Context, o []string) error { return a.prove(ctx, o[0]) }
		}},
	}
}

// audits runs the verbs about proving wallets.
type audits struct {
	*wallets
	whole      bool
	by, reason string
}

func (t *tool) auditFlags(flags *flag.FlagSet) *audits { return &audits{wallets: t.walletFlags(flags)} }

// auditor opens an auditor of the database for as long as do takes.
func (a *audits) auditor(ctx context.Context, do func(*audit.Auditor) error) error {
	return a.with(ctx, func(db archive.Database) (err error) {
		documents, err := firestore.NewClientWithDatabase(ctx, a.project, a.database, a.options...)
		if err != nil {
			return fmt.Errorf("open Firestore: %w", err)
		}
		defer func() { err = errors.Join(err, documents.Close()) }()
		log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelError}))
		l, err := ledger.New(db.Client, db.Name, ledger.Options{Now: time.Now, Logger: log})
		if err != nil {
			return err
		}
		auditor, err := audit.New(audit.Options{Documents: documents, Ledger: l, Log: log, Now: time.Now})
		if err != nil {
			return err
		}
		return do(auditor)
	})
}

// errDiffers says that something stored is not what entries say.
var errDiffers = errors.New("the wallet does not agree with its entries")

// prove audits a wallet, saying how far it has come.
func (a *audits) prove(ctx context.Context, org string) error {
	return a.auditor(ctx, func(auditor *audit.Auditor) error {
		report, err := auditor.Wallet(ctx, org, audit.Request{Whole: a.whole, Progress: func(p audit.Progress) {
			fmt.Fprintf(a.err, "entry %d of %d\n", p.Seq, p.Of)
		}})
		if err != nil {
			return err
		}
		if err := a.tellReport(report); err != nil {
			return err
		}
		if report.Finding != nil {
			return fmt.Errorf("%w: %w", errDiffers, report.Finding)
		}
		return nil
	})
}

func (a *audits) tellReport(r audit.Report) error {
	if a.json {
		return a.printValue(r)
	}
	facts := []fact{
		{"organisation", r.Org}, {"entries added up", strconv.FormatInt(r.Entries, 10)}, {"proven up to entry", strconv.FormatInt(r.Seq, 10)},
		{"from the first", strconv.FormatBool(r.Whole)},
	}
	if f := r.Finding; f != nil {
		facts = append(facts, fact{"first that differs", f.Where}, fact{"entry", fmt.Sprintf("%d %s", f.Seq, f.Entry)}, fact{"field", f.Field},
			fact{"expected", f.Expected}, fact{"found", f.Found}, fact{"frozen", strconv.FormatBool(r.Frozen)})
	}
	return a.tell(facts...)
}

// accept has audits begin with what is stored now.
func (a *audits) accept(ctx context.Context, org string) error {
	if a.by == "" || a.reason == "" {
		return fmt.Errorf("%w: -by and -reason say who accepts what is stored, and why", errUsage)
	}
	what := fmt.Sprintf("Audits of %s will begin with what is stored now; what came before is not proven any more.", org)
	if err := a.confirm(ctx, what, org); err != nil {
		return err
	}
	return a.auditor(ctx, func(auditor *audit.Auditor) error {
		c, err := auditor.Accept(ctx, org, a.by, a.reason)
		if err != nil {
			return err
		}
		if a.json {
			return a.printValue(map[string]any{"org_id": org, "accepted_by": c.AcceptedBy, "verified_seq": c.VerifiedSeq})
		}
		return a.tell(fact{"organisation", org}, fact{"accepted up to entry", strconv.FormatInt(c.VerifiedSeq, 10)}, fact{"by", c.AcceptedBy})
	})
}
