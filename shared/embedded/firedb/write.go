package firedb

import (
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// write is a checked Write: all that needs no state is done, so that little is left to do under the store's lock.
type write struct {
	key, name    string
	delete       bool
	masked       bool
	mask         []fieldPath
	fields       map[string]*pb.Value
	transforms   []fieldTransform
	precondition *pb.Precondition
	settled      bool // an earlier write of the commit makes the precondition hold
	whole        bool // the document will be exactly fields, whose size is checked
}

// fieldTransform is one checked transform.
type fieldTransform struct {
	path fieldPath
	op   *pb.DocumentTransform_FieldTransform
}

// prepare checks the writes of one commit to a database.
func prepare(database string, list []*pb.Write) ([]write, error) {
	out := make([]write, len(list))
	transforms, latest := map[string]int{}, make(map[string]*write, len(list))
	for i, w := range list {
		if err := out[i].prepare(database, w); err != nil {
			return nil, err
		}
		if before := latest[out[i].key]; before != nil {
			if err := out[i].follow(before); err != nil {
				return nil, err
			}
		}
		latest[out[i].key] = &out[i]
		if n := len(out[i].transforms); n > 0 {
			if transforms[out[i].key] += n; transforms[out[i].key] > maxTransforms {
				return nil, invalid("Document %q has more than %d field transforms in one commit.", out[i].name, maxTransforms)
			}
		}
	}
	return out, nil
}

func (p *write) prepare(database string, w *pb.Write) error {
	var transforms []*pb.DocumentTransform_FieldTransform
	switch op := w.GetOperation().(type) {
	case *pb.Write_Update:
		p.name, p.fields, transforms = op.Update.GetName(), op.Update.GetFields(), w.GetUpdateTransforms()
		p.masked = w.GetUpdateMask() != nil
	case *pb.Write_Delete:
		p.name, p.delete = op.Delete, true
	case *pb.Write_Transform:
		p.name, p.masked, transforms = op.Transform.GetDocument(), true, op.Transform.GetFieldTransforms()
		if len(transforms) == 0 {
			return invalid("A write that transforms %q has no transforms.", p.name)
		}
	default:
		return invalid("A write has no operation.")
	}
	if err := checkDocumentName(database, p.name); err != nil {
		return err
	}
	p.key, p.precondition = keyOf(p.name), w.GetCurrentDocument()
	for _, s := range w.GetUpdateMask().GetFieldPaths() {
		path, err := parseStoredPath(s)
		if err != nil {
			return err
		}
		p.mask = append(p.mask, path)
	}
	for _, t := range transforms {
		path, err := parseStoredPath(t.GetFieldPath())
		if err != nil {
			return err
		}
		if err := checkTransform(t); err != nil {
			return err
		}
		p.transforms = append(p.transforms, fieldTransform{path, t})
	}
	if err := checkFields(p.fields, 0); err != nil {
		return err
	}
	if p.whole = !p.delete && !p.masked && len(p.transforms) == 0; p.whole {
		return checkSize(&pb.Document{Name: p.name, Fields: p.fields})
	}
	return nil
}

// follow checks the precondition of a write after an earlier one of the same document in the same commit. What is there
// by then is known, so the precondition must fit it; only the first write's is put to the stored document. A time must
// be the one that the earlier write was held to, for which there must be something left to hold to it.
func (p *write) follow(before *write) error {
	fits := true
	switch c := p.precondition.GetConditionType().(type) {
	case *pb.Precondition_Exists:
		fits = c.Exists != before.delete
	case *pb.Precondition_UpdateTime:
		held, ok := before.precondition.GetConditionType().(*pb.Precondition_UpdateTime)
		fits = ok && proto.Equal(held.UpdateTime, c.UpdateTime) && (p.delete || !before.delete)
	}
	if !fits {
		return invalid("The precondition on %q contradicts an earlier write of the same commit.", p.name)
	}
	p.settled = true
	return nil
}

// apply computes the document after the write, nil when there is none, and never changes current. What would leave
// the document as it is returns current itself: its update time stays.
func (p *write) apply(current *pb.Document, at *timestamppb.Timestamp) (*pb.Document, *pb.WriteResult, error) {
	if err := p.check(current); err != nil {
		return nil, nil, err
	}
	if p.delete {
		return nil, &pb.WriteResult{}, nil
	}
	edited := edit{fields: p.fields}
	if p.masked {
		edited.fields = current.GetFields()
		for _, path := range p.mask {
			edited.set(path, valueAt(p.fields, path))
		}
	}
	res := &pb.WriteResult{UpdateTime: at}
	for _, t := range p.transforms {
		v, reported := t.value(valueAt(edited.fields, t.path), at)
		edited.set(t.path, v)
		res.TransformResults = append(res.TransformResults, reported)
	}
	next := &pb.Document{Name: p.name, Fields: edited.fields, CreateTime: at, UpdateTime: at}
	if !p.whole {
		if err := checkSize(next); err != nil {
			return nil, nil, err
		}
	}
	if current == nil {
		return next, res, nil
	}
	if sameFields(next.GetFields(), current.GetFields()) {
		res.UpdateTime = current.GetUpdateTime()
		return current, res, nil
	}
	next.CreateTime = current.GetCreateTime()
	return next, res, nil
}

// check decides the write's precondition.
func (p *write) check(current *pb.Document) error {
	if p.settled {
		return nil
	}
	switch c := p.precondition.GetConditionType().(type) {
	case *pb.Precondition_Exists:
		if c.Exists && current == nil {
			return status.Errorf(codes.NotFound, "No document to update: %s", p.name)
		}
		if !c.Exists && current != nil {
			return status.Errorf(codes.AlreadyExists, "Document already exists: %s", p.name)
		}
	case *pb.Precondition_UpdateTime:
		if current != nil && c.UpdateTime.AsTime().After(current.GetUpdateTime().AsTime()) {
			return invalid("The required base version of %s is later than the stored one.", p.name)
		}
		if current == nil || !proto.Equal(current.GetUpdateTime(), c.UpdateTime) {
			return status.Errorf(codes.FailedPrecondition, "The stored version of %s does not match the required base version.", p.name)
		}
	}
	return nil
}

// checkTransform checks what a transform does, so that value cannot fail.
func checkTransform(t *pb.DocumentTransform_FieldTransform) error {
	var number *pb.Value
	switch x := t.GetTransformType().(type) {
	case *pb.DocumentTransform_FieldTransform_SetToServerValue:
		if x.SetToServerValue != pb.DocumentTransform_FieldTransform_REQUEST_TIME {
			return invalid("Only the time of the request can be set by the server.")
		}
		return nil
	case *pb.DocumentTransform_FieldTransform_Increment:
		number = x.Increment
	case *pb.DocumentTransform_FieldTransform_Maximum:
		number = x.Maximum
	case *pb.DocumentTransform_FieldTransform_Minimum:
		number = x.Minimum
	case *pb.DocumentTransform_FieldTransform_AppendMissingElements:
		return checkValue(arrayValue(x.AppendMissingElements.GetValues()), 0, false)
	case *pb.DocumentTransform_FieldTransform_RemoveAllFromArray:
		return checkValue(arrayValue(x.RemoveAllFromArray.GetValues()), 0, false)
	default:
		return invalid("A field transform has no type.")
	}
	if !isNumber(number) {
		return invalid("A numeric transform needs an integer or a double.")
	}
	return nil
}

// value returns the field's new value and the one reported to the client.
func (t fieldTransform) value(old *pb.Value, at *timestamppb.Timestamp) (v, reported *pb.Value) {
	has := func(vs []*pb.Value, x *pb.Value) bool {
		return slices.ContainsFunc(vs, func(e *pb.Value) bool { return equalValues(e, x) })
	}
	switch x := t.op.GetTransformType().(type) {
	case *pb.DocumentTransform_FieldTransform_SetToServerValue:
		// Whole milliseconds, as the API documents.
		ms := &timestamppb.Timestamp{Seconds: at.GetSeconds(), Nanos: at.GetNanos() - at.GetNanos()%1e6}
		v = &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: ms}}
	case *pb.DocumentTransform_FieldTransform_Increment:
		if v = x.Increment; isNumber(old) {
			v = addNumbers(old, x.Increment)
		}
	case *pb.DocumentTransform_FieldTransform_Maximum:
		// The greater of any number and NaN is NaN, though NaN sorts first.
		if v = x.Maximum; isNumber(old) && (isNaN(old) || !isNaN(v) && compareNumbers(v, old) <= 0) {
			v = old
		}
	case *pb.DocumentTransform_FieldTransform_Minimum:
		if v = x.Minimum; isNumber(old) && compareNumbers(x.Minimum, old) >= 0 {
			v = old
		}
	case *pb.DocumentTransform_FieldTransform_AppendMissingElements:
		vs := slices.Clone(old.GetArrayValue().GetValues())
		for _, e := range x.AppendMissingElements.GetValues() {
			if !has(vs, e) {
				vs = append(vs, e)
			}
		}
		return arrayValue(vs), nullValue()
	case *pb.DocumentTransform_FieldTransform_RemoveAllFromArray:
		vs := slices.DeleteFunc(slices.Clone(old.GetArrayValue().GetValues()), func(e *pb.Value) bool {
			return has(x.RemoveAllFromArray.GetValues(), e)
		})
		return arrayValue(vs), nullValue()
	}
	return v, v
}
