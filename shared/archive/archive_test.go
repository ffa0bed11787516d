package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"

	"github.com/fluxori/ai-credits/shared/archive"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

var now = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func open(t *testing.T) (*engine.Engine, archive.Database, *ledger.Ledger) {
	t.Helper()
	e := engine.New(t, engine.Embedded())
	at := now
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: func() time.Time { return at }, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return e, archive.Database{Client: e.Raw, Name: e.Database()}, l
}

func debit(id string, credits int64) credit.Debit {
	return credit.Debit{
		EventID: id, Credits: credits, Content: credit.Content{Kind: credit.KindDebit, Org: "acme"},
		Work: credit.Work{Feature: "custom-query", PriceVersion: 1, User: "u-1"},
	}
}

// live gives acme a wallet with something in every collection beneath it.
func live(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	zone := "Africa/Johannesburg"
	commands := []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 5000, Payment: "pi_1"}},
		credit.SetLimits{Changes: []credit.LimitChange{{Subject: credit.Subject{Scope: credit.ScopeUser, ID: "u-1"}, Limit: &credit.Limit{Credits: 4000}}}},
		credit.PlaceHold{
			EventID: "hold", Credits: 40, TTL: time.Hour, Content: credit.Content{Kind: credit.KindHold, Org: "acme"},
			Work: credit.Work{Feature: "custom-query", PriceVersion: 1, User: "u-1"},
		},
	}
	for i := range 400 { // more than a page
		commands = append(commands, debit(fmt.Sprint("job-", i), 2))
	}
	for _, c := range commands {
		if _, err := l.Do(t.Context(), "acme", c); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	}
}

func copyOf(t *testing.T, db archive.Database) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := archive.Write(t.Context(), db, "acme", now, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// restore puts every document beneath a wallet into another database, as Firestore's own restoring does.
func restore(t *testing.T, from, to *engine.Engine) {
	t.Helper()
	var writes []*pb.Write
	keep := func(d *pb.Document) {
		d.Name = to.Database() + strings.TrimPrefix(d.GetName(), from.Database())
		writes = append(writes, &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: d.GetName(), Fields: d.GetFields()}}})
	}
	wallet, err := from.Raw.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: from.DocumentName("wallets/acme")})
	if err != nil {
		t.Fatal(err)
	}
	keep(wallet)
	for ids := from.Raw.ListCollectionIds(t.Context(), &pb.ListCollectionIdsRequest{Parent: from.DocumentName("wallets/acme")}); ; {
		id, err := ids.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for docs := from.Raw.ListDocuments(t.Context(), &pb.ListDocumentsRequest{Parent: from.DocumentName("wallets/acme"), CollectionId: id}); ; {
			d, err := docs.Next()
			if errors.Is(err, iterator.Done) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			keep(d)
		}
	}
	if _, err := to.Raw.Commit(t.Context(), &pb.CommitRequest{Database: to.Database(), Writes: writes}); err != nil {
		t.Fatal(err)
	}
}

func TestARestoredWalletIsProvedByACopy(t *testing.T) {
	t.Parallel()
	first, db, l := open(t)
	live(t, l)
	text := copyOf(t, db)
	if again := copyOf(t, db); again != text {
		t.Error("two copies of one wallet differ")
	}
	for _, collection := range []string{"entries", "grants", "holds", "counters", "usage"} {
		if !strings.Contains(text, `"path":"wallets/acme/`+collection+"/") {
			t.Errorf("the copy has no %s", collection)
		}
	}
	second, restored, audited := open(t)
	if _, err := archive.Compare(t.Context(), restored, strings.NewReader(text)); !errors.Is(err, archive.ErrNoWallet) {
		t.Errorf("a database without the wallet: %v", err)
	}
	restore(t, first, second)
	c, err := archive.Compare(t.Context(), restored, strings.NewReader(text))
	if err != nil || !c.Same() || c.Org != "acme" || c.Documents != strings.Count(text, "\n")-2 {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := audited.Audit(t.Context(), "acme"); err != nil {
		t.Errorf("the restored entries do not make the restored figures: %v", err)
	}
	// It goes on where the copy ends; what was done before is known.
	r, err := audited.Do(t.Context(), "acme", debit("job-7", 2))
	if err != nil || !r.Replayed {
		t.Errorf("an event from before: %+v, %v", r, err)
	}
	if _, err := audited.Do(t.Context(), "acme", debit("after", 2)); err != nil {
		t.Error(err)
	}
	c, err = archive.Compare(t.Context(), restored, strings.NewReader(text))
	if err != nil || c.Extra.Count != 1 || c.Changed.Count == 0 || c.Missing.Count != 0 || !strings.HasPrefix(c.Extra.First[0], "wallets/acme/entries/c_") {
		t.Errorf("after a debit: %+v, %v", c, err)
	}
}

func TestWhatIsLostOrSpoiltIsNamed(t *testing.T) {
	t.Parallel()
	first, db, l := open(t)
	live(t, l)
	text := copyOf(t, db)
	second, restored, _ := open(t)
	restore(t, first, second)
	entries := []string{}
	for l := range strings.Lines(text) {
		if at := strings.Index(l, "wallets/acme/entries/"); at >= 0 {
			entries = append(entries, strings.SplitN(l[at:], `"`, 2)[0])
		}
	}
	for _, lost := range entries[100:130] {
		if _, err := second.Client.Doc(lost).Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	last := entries[len(entries)-1]
	if _, err := second.Client.Doc(last).Set(t.Context(), map[string]any{"v": 1, "seq": 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Client.Doc("wallets/acme/usage/zz").Set(t.Context(), map[string]any{"v": 1}); err != nil {
		t.Fatal(err)
	}
	c, err := archive.Compare(t.Context(), restored, strings.NewReader(text))
	if err != nil || c.Same() || c.Missing.Count != 30 || len(c.Missing.First) != 20 || c.Missing.First[0] != entries[100] ||
		c.Changed.Count != 1 || c.Changed.First[0] != last || c.Extra.Count != 1 || c.Extra.First[0] != "wallets/acme/usage/zz" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestACopyIsOfOneMoment(t *testing.T) {
	t.Parallel()
	e, db, l := open(t)
	live(t, l)
	n := 0
	e.Hooks.Set(firedb.Rule{Method: "ListDocuments", Count: 1, Fault: firedb.Fault{DelayFunc: func() time.Duration {
		n++
		if _, err := l.Do(t.Context(), "acme", debit(fmt.Sprint("meanwhile-", n), 1)); err != nil {
			t.Error(err)
		}
		return 0
	}}})
	var out bytes.Buffer
	if _, err := archive.Write(t.Context(), db, "acme", now, &out); !errors.Is(err, archive.ErrMoved) {
		t.Errorf("written to meanwhile: %v", err)
	}
	if _, err := archive.Check(&out); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("what a failed copy left is taken for one: %v", err)
	}
}

func TestADamagedCopyIsKnownForIt(t *testing.T) {
	t.Parallel()
	_, db, l := open(t)
	live(t, l)
	text := copyOf(t, db)
	if c, err := archive.Check(strings.NewReader(text)); err != nil || c.Org != "acme" || c.Documents < 400 || len(c.SHA256) != 64 {
		t.Errorf("%+v, %v", c, err)
	}
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":            {"", archive.ErrDamaged},
		"something else":   {"{}\n", archive.ErrDamaged},
		"cut off":          {strings.Join(lines[:50], ""), archive.ErrDamaged},
		"a line less":      {strings.Join(append(append([]string{}, lines[:50]...), lines[51:]...), ""), archive.ErrDamaged},
		"a figure changed": {strings.Replace(text, `"integerValue":"2"`, `"integerValue":"3"`, 1), archive.ErrDamaged},
		"out of order":     {lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""), archive.ErrDamaged},
		"another after it": {text + text, archive.ErrDamaged},
		"not JSON":         {lines[0] + "junk\n", archive.ErrDamaged},
		"no organisation":  {strings.Replace(text, `"org":"acme"`, `"org":"A B"`, 1), archive.ErrDamaged},
		"newer":            {strings.Replace(text, `{"v":1`, `{"v":2`, 1), archive.ErrNewer},
	} {
		if _, err := archive.Check(strings.NewReader(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := archive.Compare(t.Context(), db, strings.NewReader(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s, compared: %v", name, err)
		}
	}
	if _, err := archive.Write(t.Context(), db, "nobody", now, io.Discard); !errors.Is(err, archive.ErrNoWallet) {
		t.Errorf("no wallet: %v", err)
	}
}
