// Package indexes is the one list of Firestore indexes and exemptions that the system relies on, and says of a query
// whether that list serves it.
//
// The list is indexes.json. Terraform creates it in the cloud, with jsondecode; the embedded Firestore refuses what it
// does not serve, with the entry that is missing. So a query that works in a test works in production.
//
// Invariants:
//   - A Set is immutable and has passed every check of Parse.
//   - Supports follows production's rules: an index serves a query only if its fields are exactly some of the query's
//     equality filters, in any order and direction, followed by the query's whole order, direction by direction. Several
//     such indexes may share the equality filters among them. No index is read backwards.
//
// It does not own the queries, nor whether a query is valid, nor the indexes' creation.
package indexes

import (
	_ "embed" // for the list
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/fluxori/ai-credits/shared/table"
)

// list is the content of indexes.json.
//
//go:embed indexes.json
var list []byte

// Scope says which queries an index serves: those of one collection, or of all collections with its id.
type Scope string

// Firestore's two scopes.
const (
	Collection      Scope = "COLLECTION"
	CollectionGroup Scope = "COLLECTION_GROUP"
)

// Order is a field's direction in an index.
type Order string

// Firestore's two directions.
const (
	Ascending  Order = "ASCENDING"
	Descending Order = "DESCENDING"
)

// Contains is the only array configuration of an index: it serves array-contains and array-contains-any.
const Contains = "CONTAINS"

// Index is a composite index: two or more fields. Firestore appends the document's name, "__name__", in the last
// field's direction, unless it is one of them.
type Index struct {
	Collection string       `json:"collection"`
	Scope      Scope        `json:"scope"`
	Fields     []IndexField `json:"fields"`
}

// IndexField is a field of an index: it has either an order or an array configuration.
type IndexField struct {
	Path        string `json:"path"`
	Order       Order  `json:"order,omitempty"`
	ArrayConfig string `json:"array_config,omitempty"`
}

// Field replaces the single-field indexes of one field, with all fields below it that have no Field of their own; the
// path "*" stands for every field of the collection that no other Field covers. Without any Field, a field has an
// index in each direction and one of array elements, in the scope of its collection.
type Field struct {
	Collection string       `json:"collection"`
	Path       string       `json:"path"`
	TTL        bool         `json:"ttl"`     // documents are deleted some time after the time in this field
	Indexes    []FieldIndex `json:"indexes"` // empty exempts the field
}

// FieldIndex is a single-field index.
type FieldIndex struct {
	Scope       Scope  `json:"scope"`
	Order       Order  `json:"order,omitempty"`
	ArrayConfig string `json:"array_config,omitempty"`
}

// wildcard is the path of a Field for all fields of a collection.
const wildcard = "*"

// documentID is the path of a document's name.
const documentID = "__name__"

// Firestore's limits.
const (
	maxComposites  = 200
	maxFields      = 200
	maxIndexFields = 100
)

// Set is a checked list.
type Set struct {
	composites []Index
	fields     map[fieldKey]Field
}

type fieldKey struct{ collection, path string }

// Load returns the system's own list.
func Load() (*Set, error) {
	s, err := Parse(list)
	if err != nil {
		return nil, fmt.Errorf("indexes.json: %w", err)
	}
	return s, nil
}

// Parse reads and checks a list. Unknown members, duplicates and whatever Firestore or Terraform would refuse are
// errors that name the entry.
func Parse(data []byte) (*Set, error) {
	in, err := table.Read[struct {
		Indexes []Index `json:"indexes"`
		Fields  []Field `json:"fields"`
	}](data)
	if err != nil {
		return nil, err
	}
	if n := len(in.Indexes); n > maxComposites {
		return nil, fmt.Errorf("%d indexes; Firestore allows %d", n, maxComposites)
	}
	if n := len(in.Fields); n > maxFields {
		return nil, fmt.Errorf("%d fields; Firestore allows %d", n, maxFields)
	}
	s := &Set{composites: in.Indexes, fields: map[fieldKey]Field{}}
	seen := map[string]bool{}
	for i, x := range in.Indexes {
		if err := x.check(); err != nil {
			return nil, fmt.Errorf("indexes[%d] %s: %w", i, text(x), err)
		}
		if seen[text(x)] {
			return nil, fmt.Errorf("indexes[%d] %s: is there twice", i, text(x))
		}
		seen[text(x)] = true
	}
	ttls := map[string]bool{}
	for i, f := range in.Fields {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("fields[%d] %s: %w", i, text(f), err)
		}
		k := fieldKey{f.Collection, f.Path}
		if _, twice := s.fields[k]; twice {
			return nil, fmt.Errorf("fields[%d] %s: the field is there twice", i, text(f))
		}
		s.fields[k] = f
		if f.TTL && ttls[f.Collection] {
			return nil, fmt.Errorf("fields[%d] %s: the collection has a TTL field already", i, text(f))
		}
		ttls[f.Collection] = ttls[f.Collection] || f.TTL
	}
	return s, nil
}

// text spells an entry out as it stands in the list.
func text(entry any) string {
	// Its types hold only strings, booleans and slices of them, which always encode.
	b, err := json.Marshal(entry)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// segment is one name of a path: a simple one, or any in back-quotes.
const segment = "([A-Za-z_][A-Za-z0-9_]*|`([^`\\\\]|\\\\.)+`)"

var (
	collectionPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,99}$`)
	pathPattern       = regexp.MustCompile("^" + segment + `(\.` + segment + ")*$")
)

func (x Index) check() error {
	if !collectionPattern.MatchString(x.Collection) {
		return fmt.Errorf("collection %q is not an id", x.Collection)
	}
	if err := x.Scope.check(); err != nil {
		return err
	}
	if n := len(x.Fields); n > maxIndexFields {
		return fmt.Errorf("%d fields; Firestore allows %d", n, maxIndexFields)
	}
	seen := map[string]bool{}
	arrays := 0
	for i, f := range x.Fields {
		if !pathPattern.MatchString(f.Path) {
			return fmt.Errorf("path %q is not a field's", f.Path)
		}
		if seen[f.Path] {
			return fmt.Errorf("path %q is there twice", f.Path)
		}
		seen[f.Path] = true
		if err := checkMode(f.Order, f.ArrayConfig); err != nil {
			return fmt.Errorf("path %q: %w", f.Path, err)
		}
		if f.ArrayConfig != "" {
			arrays++
		}
		if f.Path == documentID && (i != len(x.Fields)-1 || f.Order == "") {
			return fmt.Errorf("%s comes last, with an order", documentID)
		}
	}
	if len(x.Fields) < 2 {
		return errors.New(`a composite index has two fields or more; single-field indexes belong in "fields"`)
	}
	if arrays > 1 {
		return errors.New("an index has at most one array field")
	}
	return nil
}

func (f Field) check() error {
	if !collectionPattern.MatchString(f.Collection) {
		return fmt.Errorf("collection %q is not an id", f.Collection)
	}
	if f.Path != wildcard && (!pathPattern.MatchString(f.Path) || f.Path == documentID) {
		return fmt.Errorf("path %q is neither a field's nor %q", f.Path, wildcard)
	}
	if f.TTL && f.Path == wildcard {
		return errors.New("a TTL belongs to one field")
	}
	if f.Indexes == nil {
		return errors.New(`"indexes" is missing: [] exempts the field`)
	}
	for i, x := range f.Indexes {
		if err := x.Scope.check(); err != nil {
			return err
		}
		if err := checkMode(x.Order, x.ArrayConfig); err != nil {
			return err
		}
		if slices.Contains(f.Indexes[:i], x) {
			return fmt.Errorf("index %s is there twice", text(x))
		}
	}
	return nil
}

func (s Scope) check() error {
	if s != Collection && s != CollectionGroup {
		return fmt.Errorf("scope %q is neither %s nor %s", s, Collection, CollectionGroup)
	}
	return nil
}

func checkMode(o Order, array string) error {
	switch {
	case (o == "") == (array == ""):
		return errors.New("a field has either an order or an array_config")
	case o != "" && o != Ascending && o != Descending:
		return fmt.Errorf("order %q is neither %s nor %s", o, Ascending, Descending)
	case array != "" && array != Contains:
		return fmt.Errorf("array_config %q is not %s", array, Contains)
	}
	return nil
}
