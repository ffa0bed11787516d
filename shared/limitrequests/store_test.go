package limitrequests

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/problem"
)

var (
	_ problem.Coded     = (*Error)(nil)
	_ problem.Retryable = (*Error)(nil)
)

var (
	own  = Ask{By: "m", Scope: credit.ScopeUser, Credits: 200, Reason: "The catalogue"}
	mine = credit.Subject{Scope: credit.ScopeUser, ID: "m"}
)

func TestARequestIsMadeGrantedAndTold(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		o := open(t, e)
		r := o.ask(t, own)
		if r.Subject != mine || r.Limit != 300 || r.State != Open || !r.CreatedAt.Equal(o.now()) {
			t.Errorf("%+v", r)
		}
		again := own
		again.Credits, again.Reason, again.Subject = 900, "More", "m"
		if got, created, err := o.desk.Ask(t.Context(), "acme", again); err != nil || created || got.ID != r.ID || got.Credits != 200 {
			t.Errorf("asked again: %+v, %t, %v", got, created, err)
		}
		team := o.ask(t, Ask{By: "m", Scope: credit.ScopeTeam, Reason: "All of us"})
		if team.Subject.ID != "design" || team.SubjectName != "Design" {
			t.Errorf("%+v", team)
		}
		o.micros.Add(time.Hour.Microseconds())
		for range 3 {
			got, err := o.desk.Grant(t.Context(), "acme", r.ID, nil, "boss")
			if err != nil || got.State != Granted || *got.Target != 500 || got.DecidedBy != "boss" || !got.DecidedAt.Equal(o.now()) {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		o.wantLimit(t, mine, 500)
		if _, err := o.desk.Decline(t.Context(), "acme", r.ID, "no", "boss"); code(err) != "idempotency_conflict" {
			t.Errorf("declining what is granted: %v", err)
		}
		for _, reason := range []string{"Not this month", "Never"} {
			got, err := o.desk.Decline(t.Context(), "acme", team.ID, reason, "boss")
			if err != nil || got.State != Declined || got.Answer != "Not this month" {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		o.wantLimit(t, team.Subject, 1000)
		prefix := "limit-request:"
		o.wantTold(t, prefix+r.ID, prefix+team.ID, prefix+r.ID+":granted", prefix+team.ID+":declined")
		// What is decided makes room for another.
		next := o.ask(t, own)
		if next.ID == r.ID || next.Limit != 500 {
			t.Errorf("%+v", next)
		}
		for name, c := range map[string]struct {
			page Page
			want []string
		}{
			"open":              {Page{}, []string{next.ID}},
			"decided":           {Page{Decided: true, By: "m"}, sortedDesc(r.ID, team.ID)},
			"open of another":   {Page{By: "n"}, nil},
			"after the last":    {Page{AfterAt: next.CreatedAt, AfterID: next.ID}, nil},
			"decided, by pages": {Page{Decided: true, AfterAt: r.CreatedAt, AfterID: sortedDesc(r.ID, team.ID)[0]}, sortedDesc(r.ID, team.ID)[1:]},
		} {
			c.page.Limit = 9
			found, err := o.desk.Requests(t.Context(), "acme", c.page)
			var got []string
			for _, r := range found {
				got = append(got, r.ID)
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: %v (%v), want %v", name, got, err, c.want)
			}
		}
	})
}

// sortedDesc is how requests of one moment are listed.
func sortedDesc(ids ...string) []string {
	slices.SortFunc(ids, func(a, b string) int { return -strings.Compare(a, b) })
	return ids
}

func TestWhatCannotBeAskedIsRefused(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t))
	for name, c := range map[string]struct {
		ask  Ask
		code string
	}{
		"for another":          {Ask{By: "m", Scope: credit.ScopeUser, Subject: "n", Reason: "x"}, "invalid_request"},
		"for another team":     {Ask{By: "m", Scope: credit.ScopeTeam, Subject: "sales", Reason: "x"}, "invalid_request"},
		"without a team":       {Ask{By: "n", Scope: credit.ScopeTeam, Reason: "x"}, "invalid_request"},
		"where no limit is":    {Ask{By: "n", Scope: credit.ScopeUser, Reason: "x"}, "invalid_request"},
		"of an odd scope":      {Ask{By: "m", Scope: "world", Reason: "x"}, "invalid_request"},
		"without a reason":     {Ask{By: "m", Scope: credit.ScopeUser, Reason: " "}, "invalid_request"},
		"a reason of pages":    {Ask{By: "m", Scope: credit.ScopeUser, Reason: strings.Repeat("x", 501)}, "invalid_request"},
		"a reason of controls": {Ask{By: "m", Scope: credit.ScopeUser, Reason: "a\x00b"}, "invalid_request"},
		"less":                 {Ask{By: "m", Scope: credit.ScopeUser, Reason: "x", Credits: -1}, "invalid_request"},
		"no member":            {Ask{By: "gone", Scope: credit.ScopeTeam, Reason: "x"}, "not_found"},
	} {
		if _, _, err := o.desk.Ask(t.Context(), "acme", c.ask); code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", "absent", strings.Repeat("a", 26), "../../wallets/acme", strings.Repeat("A", 26)} {
		if _, err := o.desk.Grant(t.Context(), "acme", id, nil, "boss"); code(err) != "not_found" {
			t.Errorf("granting %q: %v", id, err)
		}
		if _, err := o.desk.Decline(t.Context(), "acme", id, "", "boss"); code(err) != "not_found" {
			t.Errorf("declining %q: %v", id, err)
		}
	}
	o.wantTold(t)
}

// TestManyWhoDecideAtOnceDecideOnce lets administrators grant and decline at once.
func TestManyWhoDecideAtOnceDecideOnce(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t, engine.Embedded()))
	r := o.ask(t, own)
	var granted, declined, conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for range 20 {
				var err error
				if i%2 == 0 {
					if _, err = o.desk.Grant(t.Context(), "acme", r.ID, nil, fmt.Sprint("boss", i)); err == nil {
						granted.Add(1)
					}
				} else if _, err = o.desk.Decline(t.Context(), "acme", r.ID, "no", fmt.Sprint("boss", i)); err == nil {
					declined.Add(1)
				}
				switch code(err) {
				case "unavailable": // repeat
					continue
				case "idempotency_conflict":
					conflicts.Add(1)
				case "":
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	if g, d, c := granted.Load(), declined.Load(), conflicts.Load(); c != 3 || g+d != 3 || g*d != 0 {
		t.Errorf("%d granted, %d declined, %d were told that it is decided", g, d, c)
	}
	want, end := int64(300), ":declined"
	if granted.Load() > 0 {
		want, end = 500, ":granted"
	}
	o.wantLimit(t, mine, want)
	o.wantTold(t, "limit-request:"+r.ID, "limit-request:"+r.ID+end)
}

// TestAGrantThatWasInterruptedEndsWhereItBegan interrupts a grant at each of its writes, before and after it is applied.
func TestAGrantThatWasInterruptedEndsWhereItBegan(t *testing.T) {
	t.Parallel()
	for write := range 4 {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, applied %t", write, applied), func(t *testing.T) {
				t.Parallel()
				o := open(t, engine.New(t, engine.Embedded()))
				r := o.ask(t, own)
				var seen atomic.Int64
				nth := func(proto.Message) bool { return seen.Add(1) == int64(write)+1 }
				o.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, When: nth, Fault: firedb.Fault{Code: codes.Internal, After: applied}})
				_, first := o.desk.Grant(t.Context(), "acme", r.ID, nil, "boss")
				o.Hooks.Set()
				if first != nil && code(first) != "unavailable" {
					t.Fatal(first)
				}
				if first == nil {
					o.limit(t, mine, 320) // lowered after the grant: it stays lowered, whoever repeats the grant
				}
				got, err := o.desk.Grant(t.Context(), "acme", r.ID, nil, "boss")
				if err != nil || got.State != Granted || *got.Target != 500 {
					t.Fatalf("%+v, %v", got, err)
				}
				want := int64(500)
				if first == nil {
					want = 320
				}
				o.wantLimit(t, mine, want)
				if _, err := o.ledger.Sweep(t.Context(), o.now(), 100); err != nil {
					t.Fatal(err)
				}
				o.mu.Lock()
				defer o.mu.Unlock()
				once := slices.Compact(slices.Sorted(slices.Values(o.told)))
				if want := []string{"limit-request:" + r.ID, "limit-request:" + r.ID + ":granted"}; !slices.Equal(once, want) {
					t.Errorf("told %v, want %v", once, want)
				}
			})
		}
	}
}

// meanwhile is a ledger on which an administrator sets the limit just before each command of the desk.
type meanwhile struct {
	*ledger.Ledger
	set credit.SetLimits
}

func (m meanwhile) Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error) {
	if r, err := m.Ledger.Do(ctx, org, m.set); err != nil {
		return r, err
	}
	return m.Ledger.Do(ctx, org, c)
}

func TestAGrantLowersNoLimitThatIsSetMeanwhile(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t))
	r := o.ask(t, own)
	set := credit.SetLimits{Changes: []credit.LimitChange{{Subject: mine, Limit: &credit.Limit{Credits: 900, Soft: true}}}}
	desk, err := New(Options{
		Documents: o.Client, Limits: meanwhile{o.ledger, set}, People: o.orgs, Publisher: o, Logger: slog.New(slog.DiscardHandler), Now: o.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := desk.Grant(t.Context(), "acme", r.ID, nil, "boss"); err != nil || got.State != Granted || *got.Target != 500 {
		t.Fatalf("%+v, %v", got, err)
	}
	o.wantLimit(t, mine, 900)
}

func TestAGrantThatTheWalletRefusesLeavesTheRequestOpen(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t))
	zero := int64(0)
	o.do(t, credit.SetLimits{Changes: []credit.LimitChange{{Default: true, Limit: &credit.Limit{Credits: zero}}}})
	r := o.ask(t, Ask{By: "n", Scope: credit.ScopeUser, Credits: 5, Reason: "x"})
	// As many limits of their own as there may be.
	var changes []credit.LimitChange
	for i := range credit.MaxLimits - 2 {
		changes = append(changes, credit.LimitChange{Subject: credit.Subject{Scope: credit.ScopeUser, ID: fmt.Sprint("u", i)}, Limit: &credit.Limit{}})
	}
	o.do(t, credit.SetLimits{Changes: changes})
	if _, err := o.desk.Grant(t.Context(), "acme", r.ID, nil, "boss"); code(err) != "invalid_request" {
		t.Fatalf("%v", err)
	}
	if got, err := o.desk.Request(t.Context(), "acme", r.ID); err != nil || got.State != Open || got.Target != nil || got.DecidedBy != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := o.desk.Decline(t.Context(), "acme", r.ID, "no room", "boss"); err != nil || got.State != Declined {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWhatCannotBePublishedIsLeftToTheOutbox lets Pub/Sub be away, and the sweep tell.
func TestWhatCannotBePublishedIsLeftToTheOutbox(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t))
	o.down = true
	r := o.ask(t, own)
	if _, err := o.desk.Decline(t.Context(), "acme", r.ID, "no", "boss"); err != nil {
		t.Fatal(err)
	}
	o.wantTold(t)
	o.mu.Lock()
	o.down = false
	o.mu.Unlock()
	for range 2 {
		if _, err := o.ledger.Sweep(t.Context(), o.now(), 100); err != nil {
			t.Fatal(err)
		}
	}
	o.mu.Lock()
	slices.Sort(o.told)
	o.mu.Unlock()
	o.wantTold(t, "limit-request:"+r.ID, "limit-request:"+r.ID+":declined")
	if left, err := o.Client.Collection("outbox").Documents(t.Context()).GetAll(); err != nil || len(left) != 0 {
		t.Errorf("%d documents are left in the outbox, %v", len(left), err)
	}
}

func TestAnOutageAndANewerReleaseAreUnavailable(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t, engine.Embedded()))
	r := o.ask(t, own)
	calls := map[string]func() error{
		"request":  func() error { _, err := o.desk.Request(t.Context(), "acme", r.ID); return err },
		"requests": func() error { _, err := o.desk.Requests(t.Context(), "acme", Page{Limit: 9}); return err },
		"ask":      func() error { _, _, err := o.desk.Ask(t.Context(), "acme", own); return err },
		"grant":    func() error { _, err := o.desk.Grant(t.Context(), "acme", r.ID, nil, "boss"); return err },
		"decline":  func() error { _, err := o.desk.Decline(t.Context(), "acme", r.ID, "", "boss"); return err },
	}
	check := func(what string) {
		t.Helper()
		for name, call := range calls {
			if err := call(); code(err) != "unavailable" {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
	if _, err := o.Client.Doc("orgs/acme/limitRequests/"+r.ID).Update(t.Context(), []firestore.Update{{Path: "v", Value: 2}}); err != nil {
		t.Fatal(err)
	}
	check("a newer release")
	o.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}})
	check("an outage")
}

// TestEachStepCostsWhatIsSaid keeps the README's table true. The ledger is warm.
func TestEachStepCostsWhatIsSaid(t *testing.T) {
	t.Parallel()
	o := open(t, engine.New(t, engine.Embedded()))
	var id, team string
	for _, step := range []struct {
		name          string
		reads, writes int64
		do            func() error
	}{
		{"ask", 3, 3, func() error { r, _, err := o.desk.Ask(t.Context(), "acme", own); id = r.ID; return err }},
		{"ask for a team", 6, 3, func() error {
			r, _, err := o.desk.Ask(t.Context(), "acme", Ask{By: "m", Scope: credit.ScopeTeam, Reason: "x"})
			team = r.ID
			return err
		}},
		{"ask again", 4, 0, func() error { _, _, err := o.desk.Ask(t.Context(), "acme", own); return err }},
		{"grant", 6, 6, func() error { _, err := o.desk.Grant(t.Context(), "acme", id, nil, "boss"); return err }},
		{"decline", 2, 3, func() error { _, err := o.desk.Decline(t.Context(), "acme", team, "", "boss"); return err }},
		{"grant again", 4, 0, func() error { _, err := o.desk.Grant(t.Context(), "acme", id, nil, "boss"); return err }},
	} {
		o.Hooks.Reset()
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := o.Hooks.Counts(); got.Reads != step.reads || got.Writes != step.writes {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", step.name, got.Reads, got.Writes, step.reads, step.writes)
		}
	}
}
