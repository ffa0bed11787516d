package firedb

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Firestore's limits, as its documentation states them.
const (
	maxRequestBytes    = 10 << 20
	maxDocumentBytes   = 1 << 20
	maxFieldValueBytes = 1<<20 - 89
	maxIDBytes         = 1500 // of a collection or document id, and of a field's name
	maxNesting         = 20   // maps and arrays within each other
	maxTransforms      = 500  // per document and commit
	maxSegments        = 200  // collections and documents in one name: 100 levels
)

func invalid(format string, a ...any) error {
	return status.Errorf(codes.InvalidArgument, format, a...)
}

func unsupported(what string) error {
	return status.Errorf(codes.Unimplemented, "%s is not supported", what)
}

func checkRequest(m proto.Message) error {
	if c, ok := m.(*pb.CommitRequest); ok && commitBytesMost(c) <= maxRequestBytes {
		return nil
	}
	if n := proto.Size(m); n > maxRequestBytes {
		return invalid("Request payload size %d exceeds the limit of %d bytes.", n, maxRequestBytes)
	}
	return nil
}

func checkDatabase(name string) error {
	s := strings.Split(name, "/")
	if len(s) != 4 || s[0] != "projects" || s[1] == "" || s[2] != "databases" || s[3] == "" {
		return invalid("Database name %q is not valid.", name)
	}
	return nil
}

// checkDocumentName checks a document's full name; a database that is not "" must be the one it lies in.
func checkDocumentName(database, name string) error {
	segments, err := idsOf(name)
	if err != nil {
		return err
	}
	if len(segments) == 0 || len(segments)%2 != 0 {
		return invalid("Document name %q has an odd number of segments.", name)
	}
	if database != "" && databaseOf(name) != database {
		return invalid("Document name %q is not in the database %q.", name, database)
	}
	return nil
}

// checkParent checks the name below which a collection is looked for: a document, or the database's root.
func checkParent(name string) error {
	segments, err := idsOf(name)
	if err != nil {
		return err
	}
	if len(segments)%2 != 0 {
		return invalid("Parent %q is a collection.", name)
	}
	return nil
}

// idsOf returns the collection and document ids of a name.
func idsOf(name string) ([]string, error) {
	s := strings.Split(name, "/")
	if len(s) < 5 || s[0] != "projects" || s[1] == "" || s[2] != "databases" || s[3] == "" || s[4] != "documents" {
		return nil, invalid("Resource name %q is not valid.", name)
	}
	ids := s[5:]
	if len(ids) > maxSegments {
		return nil, invalid("Resource name has %d segments; at most %d are allowed.", len(ids), maxSegments)
	}
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func checkID(id string) error {
	switch {
	case id == "" || id == "." || id == ".." || reserved(id):
		return invalid("Resource id %q is invalid because it is reserved.", id)
	case len(id) > maxIDBytes:
		return invalid("Resource id %q is longer than %d bytes.", id[:20]+"...", maxIDBytes)
	case !utf8.ValidString(id) || strings.ContainsAny(id, separator+"/"):
		return invalid("Resource id %q is not valid text.", id)
	}
	return nil
}

func checkFieldName(name string) error {
	switch {
	case name == "":
		return invalid("A field name is empty.")
	case reserved(name):
		return invalid("Field name %q is reserved.", name)
	case len(name) > maxIDBytes:
		return invalid("Field name %q is longer than %d bytes.", name[:20]+"...", maxIDBytes)
	}
	return nil
}

// checkFields checks the values of a document or map and brings their times to microseconds, as Firestore stores
// them. It may do so because the request belongs to this call alone.
func checkFields(fields map[string]*pb.Value, depth int) error {
	for name, v := range fields {
		if err := checkFieldName(name); err != nil {
			return err
		}
		if err := checkValue(v, depth, false); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(v *pb.Value, depth int, inArray bool) error {
	switch t := v.GetValueType().(type) {
	case *pb.Value_ArrayValue:
		if inArray {
			return invalid("An array cannot hold another array directly.")
		}
		if depth >= maxNesting {
			return invalid("Values are nested deeper than %d levels.", maxNesting)
		}
		for _, e := range t.ArrayValue.GetValues() {
			if err := checkValue(e, depth+1, true); err != nil {
				return err
			}
		}
	case *pb.Value_MapValue:
		if depth >= maxNesting {
			return invalid("Values are nested deeper than %d levels.", maxNesting)
		}
		if t.MapValue.GetFields()[typeField] != nil {
			return checkVector(t.MapValue.GetFields(), inArray)
		}
		return checkFields(t.MapValue.GetFields(), depth+1)
	case *pb.Value_TimestampValue:
		if err := t.TimestampValue.CheckValid(); err != nil {
			return invalid("Timestamp: %v", err)
		}
		t.TimestampValue.Nanos -= t.TimestampValue.Nanos % 1000
	case *pb.Value_StringValue:
		return checkLength(len(t.StringValue))
	case *pb.Value_BytesValue:
		return checkLength(len(t.BytesValue))
	case *pb.Value_ReferenceValue:
		return checkDocumentName("", t.ReferenceValue)
	case *pb.Value_GeoPointValue:
		latitude, longitude := t.GeoPointValue.GetLatitude(), t.GeoPointValue.GetLongitude()
		if !(math.Abs(latitude) <= 90 && math.Abs(longitude) <= 180) { // so put, NaN fails too
			return invalid("There is no point at latitude %g, longitude %g.", latitude, longitude)
		}
	case *pb.Value_NullValue, *pb.Value_BooleanValue, *pb.Value_IntegerValue, *pb.Value_DoubleValue:
	default:
		return invalid("A value has no type that can be stored.")
	}
	return nil
}

// typeField names the type of what is stored as a map but is none. The only such type is the vector.
const typeField = "__type__"

// maxVector is the most elements of a vector.
const maxVector = 2048

func checkVector(fields map[string]*pb.Value, inArray bool) error {
	elements := fields["value"].GetArrayValue().GetValues()
	numbers := !slices.ContainsFunc(elements, func(e *pb.Value) bool {
		_, isDouble := e.GetValueType().(*pb.Value_DoubleValue)
		return !isDouble
	})
	switch {
	case fields[typeField].GetStringValue() != "__vector__" || len(fields) != 2:
		return invalid("A map with a %s is not a vector.", typeField)
	case len(elements) == 0 || len(elements) > maxVector || !numbers:
		return invalid("A vector has 1 to %d doubles.", maxVector)
	case inArray:
		return invalid("An array cannot hold a vector.")
	}
	return nil
}

func checkLength(n int) error {
	if n > maxFieldValueBytes {
		return invalid("A field's value of %d bytes is longer than %d bytes.", n, maxFieldValueBytes)
	}
	return nil
}

// checkSize refuses a document larger than Firestore's limit.
func checkSize(d *pb.Document) error {
	if n := documentSize(d); n > maxDocumentBytes {
		return invalid("Document %q cannot be written because its size (%d bytes) exceeds the maximum allowed size of %d bytes.",
			d.GetName(), n, maxDocumentBytes)
	}
	return nil
}

// documentSize is the size that Firestore's limit speaks of: its name, its fields and 32 bytes.
func documentSize(d *pb.Document) int {
	return nameSize(d.GetName()) + fieldsSize(d.GetFields()) + 32
}

// nameSize counts each id with one byte more, and 16 bytes.
func nameSize(name string) int {
	_, ids, _ := strings.Cut(name, "/documents/")
	return len(ids) + 1 + 16
}

func fieldsSize(fields map[string]*pb.Value) int {
	n := 0
	for name, v := range fields {
		n += len(name) + 1 + valueSize(v)
	}
	return n
}

func valueSize(v *pb.Value) int {
	switch t := v.GetValueType().(type) {
	case *pb.Value_IntegerValue, *pb.Value_DoubleValue, *pb.Value_TimestampValue:
		return 8
	case *pb.Value_StringValue:
		return len(t.StringValue) + 1
	case *pb.Value_BytesValue:
		return len(t.BytesValue)
	case *pb.Value_ReferenceValue:
		return nameSize(t.ReferenceValue)
	case *pb.Value_GeoPointValue:
		return 16
	case *pb.Value_ArrayValue:
		n := 0
		for _, e := range t.ArrayValue.GetValues() {
			n += valueSize(e)
		}
		return n
	case *pb.Value_MapValue:
		return fieldsSize(t.MapValue.GetFields())
	}
	return 1
}
