package firedb

import (
	"cmp"
	"maps"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// separator stands for the slash of a resource name in a key. It sorts before every byte of an id, so that keys in
// byte order are documents in Firestore's order of names.
const separator = "\x00"

// keyOf turns a resource name into its key in the tree. checkID keeps the separator out of ids.
func keyOf(name string) string { return strings.ReplaceAll(name, "/", separator) }

// collectionOf returns the key of the collection that holds a document's key, and the collection's id.
func collectionOf(key string) (collection, id string) {
	collection = key[:strings.LastIndex(key, separator)]
	return collection, collection[strings.LastIndex(collection, separator)+1:]
}

// compareNames orders resource names as their keys would, without building the keys.
func compareNames(a, b string) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x == y:
			continue
		case x == '/':
			return -1
		case y == '/':
			return 1
		}
		return cmp.Compare(x, y)
	}
	return cmp.Compare(len(a), len(b))
}

// databaseOf returns the database that a resource name lies in, "" when there is none.
func databaseOf(name string) string {
	database, _, ok := strings.Cut(name, "/documents")
	if !ok {
		return ""
	}
	return database
}

// reserved reports whether Firestore keeps an id or field name for itself.
func reserved(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__")
}

// documentID is the special field path of a document's name.
const documentID = "__name__"

// fieldPath is a path into a document's fields. The nil path is the document's name.
type fieldPath []string

// parseFieldPath splits a path such as a.b.`c.d`. The document's name gives the nil path.
func parseFieldPath(s string) (fieldPath, error) {
	if s == documentID {
		return nil, nil
	}
	var out fieldPath
	for rest := s; ; rest = rest[1:] {
		segment, after, ok := cutSegment(rest)
		if !ok {
			return nil, invalid("Invalid property path %q.", s)
		}
		out, rest = append(out, segment), after
		if rest == "" {
			return out, nil
		}
		if rest[0] != '.' {
			return nil, invalid("Invalid property path %q.", s)
		}
	}
}

// parseStoredPath is parseFieldPath for paths that must lead into a document's fields.
func parseStoredPath(s string) (fieldPath, error) {
	path, err := parseFieldPath(s)
	if err != nil {
		return nil, err
	}
	if path == nil {
		return nil, invalid("Property path %q is the document's name, not one of its fields.", s)
	}
	for _, segment := range path {
		if err := checkFieldName(segment); err != nil {
			return nil, err
		}
	}
	return path, nil
}

// cutSegment takes the first segment off a path; a quoted one loses its back-quotes.
func cutSegment(s string) (segment, rest string, ok bool) {
	if !strings.HasPrefix(s, "`") {
		i := strings.IndexByte(s, '.')
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], isSimple(s[:i])
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '`':
			return b.String(), s[i+1:], b.Len() > 0
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// isSimple reports whether a segment may stand without quotes: a letter or underscore, then digits too.
func isSimple(s string) bool {
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// field returns the value at path, nil when there is none.
func field(d *pb.Document, path fieldPath) *pb.Value {
	if path == nil {
		return referenceValue(d.GetName())
	}
	return valueAt(d.GetFields(), path)
}

func valueAt(fields map[string]*pb.Value, path fieldPath) *pb.Value {
	v := fields[path[0]]
	for _, segment := range path[1:] {
		v = v.GetMapValue().GetFields()[segment]
	}
	return v
}

// edit changes fields that others share: each map is copied once, however many paths lead into it.
type edit struct {
	fields map[string]*pb.Value
	copied bool                      // fields
	own    map[*pb.MapValue]struct{} // the maps below that are copies
}

// set makes path hold v; a nil v deletes. What is not on a path stays shared.
func (e *edit) set(path fieldPath, v *pb.Value) {
	if !e.copied {
		e.fields, e.copied = copyOf(e.fields), true
	}
	in := e.fields
	for _, head := range path[:len(path)-1] {
		sub, isMap := in[head].GetValueType().(*pb.Value_MapValue)
		switch {
		case isMap:
			in = e.ownMap(in, head, sub.MapValue)
		case v == nil: // deleting below what is no map changes nothing
			return
		default: // a scalar or nothing on the way gives place to a map
			in = e.ownMap(in, head, nil)
		}
	}
	if last := path[len(path)-1]; v == nil {
		delete(in, last)
	} else {
		in[last] = v
	}
}

// ownMap makes in[head] a copy of a map, unless it is one, and returns its fields.
func (e *edit) ownMap(in map[string]*pb.Value, head string, m *pb.MapValue) map[string]*pb.Value {
	if _, own := e.own[m]; own {
		return m.Fields
	}
	v := mapValue(copyOf(m.GetFields()))
	if e.own == nil {
		e.own = map[*pb.MapValue]struct{}{}
	}
	e.own[v.GetMapValue()] = struct{}{}
	in[head] = v
	return v.GetMapValue().GetFields()
}

func copyOf(fields map[string]*pb.Value) map[string]*pb.Value {
	if fields == nil {
		return map[string]*pb.Value{}
	}
	return maps.Clone(fields)
}
