package firedb_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// settle is how long an operation may take before it counts as waiting for another, and the next one is begun.
const settle = 900 * time.Millisecond

// scenes are schedules of operations that meet in one collection, one after the other unless one has to wait.
//
// An operation is "actor verb documents". The actors 1 and 2 are transactions, r is a read-only one, p and q act without.
// The last step of each scene is what the collection holds when all is done.
var scenes = map[string]string{
	"a write meets a read":              "p set a=1; 1 read a; p set a=5; 1 commit a=3",
	"a write meets a read that ends so": "p set a=1; 1 read a; p set a=5; 1 commit",
	"a write meets a read rolled back":  "p set a=1; 1 read a; p set a=5; 1 rollback",
	"a write meets a query":             "p set a=1; 1 query; p set a=5; 1 commit s=-1",
	"a write enters a query":            "p set a=1; 1 query; p set b=1; 1 commit s=-1",
	"a write leaves a query":            "p set a=1; p set b=1; 1 query; p set b=-1; 1 commit s=-1",
	"a write near a query":              "p set a=1; 1 query; p set b=-1; 1 commit s=-1",
	"a write meets a count":             "p set a=1; 1 count; p set b=1; 1 commit s=-1",
	"a write between two reads":         "p set a=1; p set b=1; 1 read a; p set b=2; 1 read b; 1 commit a=2",
	"a create meets a read of nothing":  "1 read n; p create n=1; 1 commit n=2",
	"a delete meets a read":             "p set a=1; 1 read a; p delete a; 1 commit a=3",
	"a guarded write meets a read":      "p set a=1; 1 read a; p guarded a=5; 1 commit a=3",
	"a guarded write meets a reader":    "p set a=1; 1 read a; p guarded a=5; 1 commit b=3",
	"a read outside meets a reader":     "p set a=1; 1 read a; p read a; 1 commit a=3; p read a",
	"writes to one document":            "p set a=1; p set a=2; q set a=3",
	"two write what both read":          "p set a=1; 1 read a; 2 read a; 1 commit a=10; 2 commit a=20",
	"two write what neither read":       "p set a=1; 1 read x; 2 read y; 1 commit a=10; 2 commit a=20",
	"one reads and one writes":          "p set a=1; 1 read a; 2 read b; 2 commit a=20; 1 commit c=1",
	"two write different documents":     "p set a=1; p set b=1; 1 read a; 2 read b; 1 commit a=2; 2 commit b=2",
	"write skew":                        "p set a=1; p set b=1; 1 read a b; 2 read a b; 1 commit a=0; 2 commit b=0",
	"two add to a query they both made": "p set a=1; 1 query; 2 query; 1 commit b=1; 2 commit c=1",
	"two add to what they both counted": "p set a=1; 1 count; 2 count; 1 commit b=1; 2 commit c=1",
	"two create one document":           "1 read n; 2 read n; 1 commit n=1; 2 commit n=2",
	"two lock crosswise":                "p set a=1; p set b=1; 1 read a; 2 read b; 1 read b; 2 read a; 1 commit a=2 b=2; 2 commit a=3 b=3",
	"a read-only one meets a writer":    "p set a=1; r read a; 1 read a; 1 commit a=2; r read a; r query; r commit",
	"a writer meets a read-only one":    "p set a=1; 1 read a; r read a; 1 commit a=2; r read a",
	"the second is rolled back":         "p set a=1; 1 read a; 2 read a; 2 rollback; 1 commit a=2",
}

// interleavings plays all scenes at once: most of their time is spent waiting.
func interleavings(s *script) {
	played := map[string]*scene{}
	var wg sync.WaitGroup
	for name, schedule := range scenes {
		c := &scene{script: s, collection: strings.ReplaceAll(name, " ", "-"), actors: map[string]*actor{}}
		played[name] = c
		wg.Go(func() { c.play(schedule) })
	}
	wg.Wait()
	for _, name := range slices.Sorted(maps.Keys(played)) {
		s.note(name, strings.Join(played[name].saw, "; "))
	}
}

// scene is a schedule at work.
type scene struct {
	*script
	collection string
	actors     map[string]*actor
	saw        []string
}

// actor does its operations one after the other.
type actor struct {
	tx   *tx           // nil for one that acts without a transaction
	last chan struct{} // closed when its last operation has ended
}

// play begins each operation when the one before has ended or waits for another.
func (c *scene) play(schedule string) {
	operations := strings.Split(schedule, "; ")
	outcomes := make([]string, len(operations))
	for i, operation := range operations {
		who, what, _ := strings.Cut(operation, " ")
		a := c.actor(who)
		before, ended := a.last, make(chan struct{})
		a.last = ended
		next := make(chan struct{}) // closed once the schedule has gone on without it
		go func() {
			defer close(ended)
			<-before
			got := c.do(a, what)
			select {
			case <-next:
				got += ", having waited"
			default:
			}
			outcomes[i] = got
		}()
		select {
		case <-ended:
		case <-time.After(settle):
			close(next)
		}
	}
	for _, a := range c.actors {
		select {
		case <-a.last:
		case <-time.After(callTimeout):
			c.t.Errorf("%q: an operation waits forever", schedule)
			return
		}
	}
	for i, operation := range operations {
		c.saw = append(c.saw, operation+" -> "+outcomes[i])
	}
	c.saw = append(c.saw, "in the end "+c.holds())
}

func (c *scene) actor(who string) *actor {
	if a, ok := c.actors[who]; ok {
		return a
	}
	a := &actor{last: make(chan struct{})}
	close(a.last)
	switch who {
	case "1", "2":
		a.tx = c.begin(readWrite())
	case "r":
		a.tx = c.begin(readOnly())
	}
	c.actors[who] = a
	return a
}

// do performs one operation and tells its outcome.
func (c *scene) do(a *actor, operation string) string {
	words := strings.Fields(operation)
	verb, documents := words[0], words[1:]
	for i := range documents {
		documents[i] = c.collection + "/" + documents[i]
	}
	switch {
	case a.tx == nil:
		return c.doOutside(verb, documents[0])
	case verb == "read":
		return a.tx.get(documents...)
	case verb == "query":
		return a.tx.query(c.collection)
	case verb == "count":
		return a.tx.count(c.collection)
	case verb == "commit":
		return a.tx.commit(documents...)
	case verb == "rollback":
		return a.tx.rollback()
	}
	panic("no such operation: " + operation)
}

// doOutside performs an operation without a transaction.
func (c *scene) doOutside(verb, document string) string {
	var w *pb.Write
	switch verb {
	case "read":
		return show(c.content(document))
	case "set":
		w = c.setV(document)
	case "create":
		w = exists(c.setV(document), false)
	case "delete":
		w = remove(c.script, document)
	case "guarded":
		path, _, _ := strings.Cut(document, "=")
		d, err := c.Client.Doc(path).Get(c.t.Context())
		if err != nil {
			return code(err)
		}
		w = unmoved(c.setV(document), timestamppb.New(d.UpdateTime))
	default:
		panic("no such operation: " + verb)
	}
	_, err := c.commit(w)
	return code(err)
}

// holds is what the scene's collection holds.
func (c *scene) holds() string {
	docs, err := c.Client.Collection(c.collection).Documents(c.t.Context()).GetAll()
	if err != nil {
		return code(err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, d.Ref.ID+"="+show(d.Data()["v"]))
	}
	return strings.Join(out, " ")
}
