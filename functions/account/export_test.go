package account

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/needs"
	"github.com/fluxori/ai-credits/shared/problem"
)

// exported follows an export to its end, as programs do, and returns the lines of entries and how many answers there were.
func (s *system) exported(t *testing.T, token, query string) (lines [][]string, answers int) {
	t.Helper()
	for page := ""; answers < 1000; {
		answers++
		table := s.table(t, token, "/orgs/acme/entries?format=csv"+query+page)
		if diff := cmp.Diff(exportHead(), table[0]); diff != "" {
			t.Fatal(diff)
		}
		last := table[len(table)-1]
		lines = append(lines, table[1:len(table)-1]...)
		switch last[0] {
		case recordComplete:
			return lines, answers
		case recordMore:
			page = "&page_token=" + url.QueryEscape(last[1])
		default:
			t.Fatalf("the last line is %q", last)
		}
	}
	t.Fatal("the export does not end")
	return nil, 0
}

// TestAnExportHasEachEntryOnceInAnswersOfAnySize compares the table with the list, whole, in answers of any size, and by day.
func TestAnExportHasEachEntryOnceInAnswersOfAnySize(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-member")
	s.grant(t, "acme", "pi_1", credit.Purchase, 500, time.Time{})
	for i := range 6 {
		s.debit(t, "acme", fmt.Sprint("d", i), 10)
		s.advance(9 * time.Hour)
	}
	var ids []string
	for _, item := range s.must(t, token, http.MethodGet, "/orgs/acme/entries", "").body["items"].([]any) {
		ids = append(ids, item.(map[string]any)["id"].(string))
	}
	column := func(lines [][]string) (out []string) {
		for _, line := range lines {
			if line[0] != recordEntry {
				t.Errorf("a line begins with %q", line[0])
			}
			out = append(out, line[1])
		}
		return out
	}
	for size, want := range map[int]int{1: 8, 2: 4, 3: 3, 7: 2, 8: 1, exportMax: 1} {
		lines, answers := s.exported(t, token, "&page_size="+strconv.Itoa(size))
		if diff := cmp.Diff(ids, column(lines)); diff != "" || answers != want {
			t.Errorf("answers of %d: %d of them, want %d; %s", size, answers, want, diff)
		}
	}
	// The first entry was made at 10:00 in the organisation's zone, and the debits nine hours apart from then.
	for query, want := range map[string][]string{
		"&from=2026-03-02": ids[:4], "&to=2026-03-02": ids[4:], "&from=2026-03-02&to=2026-03-03": ids[1:4], "&from=2027-01-01": nil, "&from=2026-03-03&to=2026-03-02": nil,
	} {
		for _, size := range []string{"", "&page_size=2"} {
			lines, _ := s.exported(t, token, query+size)
			if diff := cmp.Diff(want, column(lines)); diff != "" {
				t.Errorf("%s%s: %s", query, size, diff)
			}
		}
		if items, _ := s.must(t, token, http.MethodGet, "/orgs/acme/entries?"+query[1:], "").body["items"].([]any); len(items) != len(want) {
			t.Errorf("%s: a list of %d, want %d", query, len(items), len(want))
		}
	}
	for _, query := range []string{"page_size=0", "page_size=100001", "page_size=1e9", "page_size=1000000000", "from=yesterday", "to=2026-02-30", "page_token=x"} {
		for _, format := range []string{"csv", "json"} {
			if got := s.call(t, token, http.MethodGet, "/orgs/acme/entries?"+query+"&format="+format, ""); got.code() != "invalid_request" {
				t.Errorf("%s as %s: %d %s", query, format, got.status, got.raw)
			}
		}
	}
}

// TestNothingInAnExportIsAFormula has what people and services chose begin as formulas do, in each place where they can.
func TestNothingInAnExportIsAFormula(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 500, time.Time{})
	for _, begins := range []string{"=", "+", "-", "@"} {
		text := begins + `HYPERLINK("http://evil.example","1,2")`
		s.do(t, "acme", credit.Debit{
			EventID: text, Credits: 1, Actor: text, Metadata: `{"a":1}`, Content: credit.Content{Kind: credit.KindDebit, Org: "acme"},
			Work: credit.Work{Feature: text, User: text, Team: text},
		})
	}
	s.must(t, s.token(t, "agent", "support"), http.MethodPost, "/orgs/acme/adjustments", `{"credits":5,"reason":"=1+1 €\n\"quoted\""}`, "Idempotency-Key", "=1")
	lines, _ := s.exported(t, s.token(t, "acme-admin"), "")
	formulas := 0
	for _, line := range lines {
		for i, cell := range line {
			_, err := strconv.ParseInt(cell, 10, 64)
			if cell != "" && err != nil && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("%s is %q", exportHead()[i], cell)
			}
			if strings.HasPrefix(cell, "'") {
				formulas++
			}
		}
	}
	if formulas != 4*5+2 {
		t.Errorf("%d texts were made inert", formulas)
	}
	if got := lines[0][20]; got != "'=1+1 €\n\"quoted\"" {
		t.Errorf("the reason is %q", got)
	}
}

// TestAMembersExportDoesNotSayWhoseTheWorkOfOthersWas: the table tells each reader what the list does.
func TestAMembersExportDoesNotSayWhoseTheWorkOfOthersWas(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 500, time.Time{})
	for _, user := range []string{"acme-member", "somebody-else"} {
		s.do(t, "acme", credit.Debit{
			EventID: "by-" + user, Credits: 1, Metadata: `{"of":"` + user + `"}`, Content: credit.Content{Kind: credit.KindDebit, Org: "acme", User: user},
			Work: credit.Work{Feature: "custom-query", User: user},
		})
	}
	users := map[string]string{}
	for who, token := range map[string]string{"member": s.token(t, "acme-member"), "admin": s.token(t, "acme-admin")} {
		lines, _ := s.exported(t, token, "")
		for _, line := range lines {
			if line[10] != "" || line[21] != "" {
				users[who] += line[10] + line[21] + " "
			}
		}
	}
	theirs, own := `somebody-else{"of":"somebody-else"} `, `acme-member{"of":"acme-member"} `
	if users["member"] != own || users["admin"] != theirs+own {
		t.Errorf("%q", users)
	}
}

// TestAnExportThatCannotGoOnSaysWhere: a store that fails in the middle, and a caller who is gone.
func TestAnExportThatCannotGoOnSaysWhere(t *testing.T) {
	t.Parallel()
	page := func(n int, newest time.Time) (out []*credit.Entry) {
		for i := range n {
			out = append(out, &credit.Entry{Key: credit.CallerKey(fmt.Sprint(i)), At: newest.Add(-time.Duration(i) * time.Second)})
		}
		return out
	}
	newest := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	reads := 0
	e := &export{org: "acme", show: showEntry, left: exportMax, until: time.Now().Add(time.Hour), read: func(_ context.Context, _ string, _, _ time.Time, limit int) ([]*credit.Entry, error) {
		if reads++; reads == 3 {
			return nil, errors.New("the store is gone")
		}
		return page(limit, newest.Add(-time.Duration(reads)*time.Hour)), nil
	}}
	var out strings.Builder
	if err := errors.Join(e.next(t.Context()), e.write(t.Context(), &out, func() error { return nil })); err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	last := table[len(table)-1]
	c := call{query: url.Values{"page_token": {last[1]}}}
	p, ok, err := c.position(entriesList)
	if want := newest.Add(-2*time.Hour - (exportPage-1)*time.Second); len(table) != 2*exportPage+2 || last[0] != recordMore || !ok || err != nil || !p.at().Equal(want) {
		t.Errorf("%d lines, the last %q: %v, want %v (%v)", len(table), last, p.at(), want, err)
	}
	reads = 0
	e.left, e.until = exportMax, time.Now().Add(-time.Second)
	out.Reset()
	if err := errors.Join(e.next(t.Context()), e.write(t.Context(), &out, func() error { return nil })); err != nil || reads != 1 {
		t.Errorf("after its time it read %d pages: %v", reads, err)
	}
	if err := e.write(t.Context(), &out, func() error { return io.ErrClosedPipe }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to a caller who is gone: %v", err)
	}
}

// TestNobodyTakesAllThePlacesOfExports: who has two is told to wait, and others are not, until the instance writes as many as it takes.
func TestNobodyTakesAllThePlacesOfExports(t *testing.T) {
	t.Parallel()
	var h handler
	eager := call{person: identity.Person{Sub: "eager"}}
	refused := func(c call) bool {
		err := h.exportEntries(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), c, span{})
		no, ok := errors.AsType[*problem.Error](err)
		return ok && no.Code() == problem.Unavailable
	}
	first, second := h.exports.begin("eager"), h.exports.begin("eager")
	if !first || !second || !refused(eager) {
		t.Error("one caller has three places")
	}
	if !h.exports.begin("calm") || !h.exports.begin("other") || !refused(call{person: identity.Person{Sub: "late"}}) {
		t.Error("others have too few places, or too many")
	}
	h.exports.end("eager")
	if !h.exports.begin("late") {
		t.Error("a place that was given back is gone")
	}
	for _, who := range []string{"eager", "calm", "other", "late"} {
		h.exports.end(who)
	}
	if h.exports.all != 0 || len(h.exports.by) != 0 {
		t.Errorf("%d places are taken: %v", h.exports.all, h.exports.by)
	}
}

// manyEntries is a Firestore with one wallet of very many entries, which are made as they are asked for: what the heap holds is the export's own.
type manyEntries struct {
	pb.UnimplementedFirestoreServer
	like  *pb.Document // a real entry
	count int64
	first time.Time
}

// RunQuery implements firestorepb.FirestoreServer: the entries before a moment, newest first, a microsecond apart.
func (m *manyEntries) RunQuery(r *pb.RunQueryRequest, out pb.Firestore_RunQueryServer) error {
	q := r.GetStructuredQuery()
	seq := m.count
	for _, f := range append(q.GetWhere().GetCompositeFilter().GetFilters(), q.GetWhere()) {
		if field := f.GetFieldFilter(); field.GetField().GetFieldPath() == "at" {
			seq = field.GetValue().GetTimestampValue().AsTime().Sub(m.first).Microseconds() - 1
		}
	}
	for sent := int32(0); seq > 0 && sent < q.GetLimit().GetValue(); sent, seq = sent+1, seq-1 {
		d := proto.CloneOf(m.like)
		d.Fields["seq"] = &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: seq}}
		d.Fields["at"] = &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamppb.New(m.first.Add(time.Duration(seq) * time.Microsecond))}}
		if err := out.Send(&pb.RunQueryResponse{Document: d}); err != nil {
			return err
		}
	}
	return nil
}

// TestAMillionEntriesAreExportedInBoundedMemory exports very many entries over HTTP to a caller who keeps none, and watches the heap.
//
//nolint:paralleltest // it measures the heap
func TestAMillionEntriesAreExportedInBoundedMemory(t *testing.T) {
	count := int64(20_000)
	if needs.Thorough() {
		count = 1_000_000
	}
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 500, time.Time{})
	s.debit(t, "acme", "d1", 10)
	like, err := s.Raw.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: s.Database() + "/documents/wallets/acme/entries/" + credit.CallerKey("d1").Doc()})
	if err != nil {
		t.Fatal(err)
	}
	h := &handler{ledger: openMany(t, s, &manyEntries{like: like, count: count, first: s.now()})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{org: "acme", query: r.URL.Query()}
		if err := h.entries(w, r, c); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)

	runtime.GC()
	idle, most := heapBytes(), uint64(0)
	next, read, answers := count, int64(0), 0
	for page := ""; page != "end"; answers++ {
		res, err := http.Get(server.URL + "?format=csv" + page)
		if err != nil {
			t.Fatal(err)
		}
		lines := csv.NewReader(io.TeeReader(res.Body, counter{&read}))
		lines.ReuseRecord = true
		page = ""
		for line, err := lines.Read(); !errors.Is(err, io.EOF); line, err = lines.Read() {
			if err != nil {
				t.Fatal(err)
			}
			switch line[0] {
			case recordEntry:
				if line[2] != strconv.FormatInt(next, 10) {
					t.Fatalf("entry %s, want %d", line[2], next)
				}
				if next--; next%1000 == 0 {
					most = max(most, heapBytes())
				}
			case recordMore:
				page = "&page_token=" + line[1]
			case recordComplete:
				page = "end"
			}
		}
		if res.Body.Close(); page == "" {
			t.Fatal("an answer has no end")
		}
	}
	const bound = 48 << 20
	if next != 0 || most > idle+bound {
		t.Errorf("%d entries are missing; the heap grew by %d bytes", next, most-idle)
	}
	t.Logf("%d entries, %d MiB in %d answers; the heap grew by at most %d MiB, collector's slack and the caller included", count, read>>20, answers, (int64(most)-int64(idle))>>20)
}

// counter counts what is written.
type counter struct{ n *int64 }

func (c counter) Write(p []byte) (int, error) { *c.n += int64(len(p)); return len(p), nil }

// heapBytes is what objects occupy, those that wait to be collected included.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// openMany opens a ledger on a store of very many entries.
func openMany(t *testing.T, s *system, m *manyEntries) *ledger.Ledger {
	t.Helper()
	l, server := bufconn.Listen(1<<20), grpc.NewServer()
	pb.RegisterFirestoreServer(server, m)
	go func() {
		if err := server.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:many", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client, err := apiv1.NewClient(context.WithoutCancel(t.Context()), option.WithGRPCConn(conn), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	out, err := ledger.New(client, s.Database(), ledger.Options{Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
