package indexes_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/indexes"
)

// The queries of the tests are written as text: filters as "field op", where the operator is one of == in != < has
// is-null and is-not-null, joined by "and" or "or" (which binds less), and an order as "field" or "-field".

func parseFilter(s string) *pb.StructuredQuery_Filter {
	composite := func(parts []string, op pb.StructuredQuery_CompositeFilter_Operator) *pb.StructuredQuery_Filter {
		c := &pb.StructuredQuery_CompositeFilter{Op: op}
		for _, p := range parts {
			c.Filters = append(c.Filters, parseFilter(p))
		}
		return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{CompositeFilter: c}}
	}
	if s == "" {
		return nil
	}
	if parts := strings.Split(s, " or "); len(parts) > 1 {
		return composite(parts, pb.StructuredQuery_CompositeFilter_OR)
	}
	if parts := strings.Split(s, " and "); len(parts) > 1 {
		return composite(parts, pb.StructuredQuery_CompositeFilter_AND)
	}
	path, op, _ := strings.Cut(s, " ")
	field := &pb.StructuredQuery_FieldReference{FieldPath: path}
	unary := map[string]pb.StructuredQuery_UnaryFilter_Operator{
		"is-null":     pb.StructuredQuery_UnaryFilter_IS_NULL,
		"is-not-null": pb.StructuredQuery_UnaryFilter_IS_NOT_NULL,
	}
	if u, ok := unary[op]; ok {
		return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_UnaryFilter{UnaryFilter: &pb.StructuredQuery_UnaryFilter{
			Op: u, OperandType: &pb.StructuredQuery_UnaryFilter_Field{Field: field},
		}}}
	}
	binary := map[string]pb.StructuredQuery_FieldFilter_Operator{
		"==": pb.StructuredQuery_FieldFilter_EQUAL, "in": pb.StructuredQuery_FieldFilter_IN, "!=": pb.StructuredQuery_FieldFilter_NOT_EQUAL,
		"<": pb.StructuredQuery_FieldFilter_LESS_THAN, "has": pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS,
	}
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{FieldFilter: &pb.StructuredQuery_FieldFilter{
		Field: field, Op: binary[op],
	}}}
}

func parseQuery(collection string, group bool, where, orders string) *pb.StructuredQuery {
	q := &pb.StructuredQuery{
		From:  []*pb.StructuredQuery_CollectionSelector{{CollectionId: collection, AllDescendants: group}},
		Where: parseFilter(where),
	}
	for _, o := range strings.Fields(orders) {
		direction := pb.StructuredQuery_ASCENDING
		path, descending := strings.CutPrefix(o, "-")
		if descending {
			direction = pb.StructuredQuery_DESCENDING
		}
		q.OrderBy = append(q.OrderBy, &pb.StructuredQuery_Order{Field: &pb.StructuredQuery_FieldReference{FieldPath: path}, Direction: direction})
	}
	return q
}

// brief renders the fields of the entry that an error asks for.
func brief(err error) string {
	var missing *indexes.MissingError
	if !errors.As(err, &missing) {
		return ""
	}
	var out []string
	if missing.Member == "fields" {
		var f indexes.Field
		if err := json.Unmarshal([]byte(missing.Entry), &f); err != nil {
			return err.Error()
		}
		for _, x := range f.Indexes {
			out = append(out, string(x.Scope)+" "+string(x.Order)+x.ArrayConfig)
		}
		return f.Path + " [" + strings.Join(out, ", ") + "]"
	}
	var x indexes.Index
	if err := json.Unmarshal([]byte(missing.Entry), &x); err != nil {
		return err.Error()
	}
	for _, f := range x.Fields {
		out = append(out, f.Path+" "+string(f.Order)+f.ArrayConfig)
	}
	return strings.Join(out, ", ")
}

// checkAdvice pastes the entry that an error asks for and expects the query to be served.
func checkAdvice(t *testing.T, err error, q *pb.StructuredQuery, sums []*pb.StructuredAggregationQuery_Aggregation) {
	t.Helper()
	var missing *indexes.MissingError
	if !errors.As(err, &missing) {
		t.Fatal(err)
	}
	if !strings.HasPrefix(err.Error(), "The query requires an index") || !strings.Contains(err.Error(), missing.Entry) {
		t.Errorf("the error is %q", err)
	}
	var members map[string][]json.RawMessage
	if err := json.Unmarshal([]byte(list), &members); err != nil {
		t.Fatal(err)
	}
	kept := []json.RawMessage{json.RawMessage(missing.Entry)}
	for _, entry := range members[missing.Member] {
		var old, added indexes.Field
		if missing.Member == "fields" {
			if err := errors.Join(json.Unmarshal(entry, &old), json.Unmarshal([]byte(missing.Entry), &added)); err != nil {
				t.Fatal(err)
			}
		}
		if missing.Member == "indexes" || old.Collection != added.Collection || old.Path != added.Path {
			kept = append(kept, entry)
		}
	}
	members[missing.Member] = kept
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	s, err := indexes.Parse(data)
	if err != nil {
		t.Fatalf("with the entry %s: %v", missing.Entry, err)
	}
	if err := s.Supports(q, sums...); err != nil {
		t.Errorf("with the entry %s: %v", missing.Entry, err)
	}
}

// list has, of collection c: composites on (a, b), (a, -b), (d, b), (t contains, a), (a, -__name__), and of its group
// on (a, b). Of single fields: x is exempt, m with what lies in it but for m.in, only ascending is y, and of the group
// is g. Collection w has only "due".
const list = `{
	"indexes": [
		{"collection":"c","scope":"COLLECTION","fields":[{"path":"a","order":"ASCENDING"},{"path":"b","order":"ASCENDING"}]},
		{"collection":"c","scope":"COLLECTION","fields":[{"path":"a","order":"ASCENDING"},{"path":"b","order":"DESCENDING"}]},
		{"collection":"c","scope":"COLLECTION","fields":[{"path":"d","order":"DESCENDING"},{"path":"b","order":"ASCENDING"}]},
		{"collection":"c","scope":"COLLECTION","fields":[{"path":"t","array_config":"CONTAINS"},{"path":"a","order":"ASCENDING"}]},
		{"collection":"c","scope":"COLLECTION","fields":[{"path":"a","order":"ASCENDING"},{"path":"__name__","order":"DESCENDING"}]},
		{"collection":"c","scope":"COLLECTION","fields":[{"path":"x","order":"ASCENDING"},{"path":"u","order":"DESCENDING"}]},
		{"collection":"c","scope":"COLLECTION_GROUP","fields":[{"path":"a","order":"ASCENDING"},{"path":"b","order":"ASCENDING"}]}
	],
	"fields": [
		{"collection":"c","path":"x","indexes":[]},
		{"collection":"c","path":"m","indexes":[]},
		{"collection":"c","path":"m.in","indexes":[{"scope":"COLLECTION","order":"ASCENDING"}]},
		{"collection":"c","path":"y","indexes":[{"scope":"COLLECTION","order":"ASCENDING"}]},
		{"collection":"c","path":"g","indexes":[{"scope":"COLLECTION_GROUP","order":"ASCENDING"}]},
		{"collection":"w","path":"*","indexes":[]},
		{"collection":"w","path":"due","indexes":[{"scope":"COLLECTION","order":"ASCENDING"}]}
	]
}`

func TestSupports(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		collection string // c unless set
		group      bool
		where      string
		orders     string
		sum        string
		missing    string // what the entry that is wanted says of its fields; "" when the query is served
	}{
		"no condition":                       {},
		"order by name":                      {orders: "__name__"},
		"one equality":                       {where: "z =="},
		"in":                                 {where: "z in"},
		"is null":                            {where: "z is-null"},
		"array-contains":                     {where: "z has"},
		"equality on a field of a map":       {where: "z.k =="},
		"range":                              {where: "z <"},
		"range, its order":                   {where: "z <", orders: "-z"},
		"not equal":                          {where: "z !="},
		"is not null":                        {where: "z is-not-null"},
		"order":                              {orders: "z"},
		"order downwards":                    {orders: "-z"},
		"order and name":                     {orders: "z __name__"},
		"order and name, downwards":          {orders: "-z -__name__"},
		"order and name, opposite":           {orders: "z -__name__", missing: `z ASCENDING, __name__ DESCENDING`},
		"order and name, opposite, listed":   {orders: "a -__name__"},
		"equality, name downwards":           {where: "z ==", orders: "-__name__"},
		"array, name downwards":              {where: "z has", orders: "-__name__", missing: `z CONTAINS, __name__ DESCENDING`},
		"name alone":                         {where: "__name__ <"},
		"name and equality":                  {where: "__name__ < and z =="},
		"equalities share single fields":     {where: "z == and v == and u in"},
		"equality and array":                 {where: "z == and t has"},
		"equality ordered by itself":         {where: "z ==", orders: "-z"},
		"equality and order":                 {where: "a ==", orders: "b"},
		"equality and order downwards":       {where: "a ==", orders: "-b"},
		"equality on a descending field":     {where: "d ==", orders: "b"},
		"no index is read backwards":         {where: "d ==", orders: "-b", missing: `d ASCENDING, b DESCENDING`},
		"equality and other order":           {where: "a ==", orders: "z", missing: `a ASCENDING, z ASCENDING`},
		"in and order":                       {where: "a in", orders: "-b"},
		"equality and range":                 {where: "a == and b <"},
		"equality and range, other":          {where: "b == and a <", missing: `b ASCENDING, a ASCENDING`},
		"equality, range and its order":      {where: "a == and b <", orders: "-b"},
		"equalities share composites":        {where: "a == and d ==", orders: "b"},
		"equalities, one without composite":  {where: "a == and d == and z ==", orders: "b", missing: `a ASCENDING, d ASCENDING, z ASCENDING, b ASCENDING`},
		"two orders":                         {orders: "a b"},
		"two orders, second downwards":       {orders: "a -b"},
		"two orders, first downwards":        {orders: "-a b", missing: `a DESCENDING, b ASCENDING`},
		"two orders, swapped":                {orders: "b a", missing: `b ASCENDING, a ASCENDING`},
		"two ranges":                         {where: "a < and b <"},
		"two ranges, swapped order":          {where: "a < and b <", orders: "b", missing: `b ASCENDING, a ASCENDING`},
		"range and order on another":         {where: "b <", orders: "a"},
		"array and order":                    {where: "t has", orders: "a"},
		"array and order downwards":          {where: "t has", orders: "-a", missing: `t CONTAINS, a DESCENDING`},
		"equality and array share no index":  {where: "t has and a ==", orders: "b", missing: `a ASCENDING, t CONTAINS, b ASCENDING`},
		"half of a composite serves nothing": {where: "x ==", missing: `x [COLLECTION ASCENDING]`},
		"composite of exempt fields":         {where: "x ==", orders: "-u"},
		"exempt":                             {where: "x ==", missing: `x [COLLECTION ASCENDING]`},
		"exempt array":                       {where: "x has", missing: `x [COLLECTION CONTAINS]`},
		"exempt order downwards":             {orders: "-x", missing: `x [COLLECTION DESCENDING]`},
		"exempt beside another":              {where: "x == and z ==", missing: `x ASCENDING, z ASCENDING`},
		"exempt map":                         {where: "m ==", missing: `m [COLLECTION ASCENDING]`},
		"field of an exempt map":             {where: "m.k.l ==", missing: `m.k.l [COLLECTION ASCENDING]`},
		"listed field of an exempt map":      {where: "m.in.k =="},
		"name that only begins like a map's": {where: "mm =="},
		"quoted name with a dot":             {where: "`m.k` =="},
		"quoted name in an exempt map":       {where: "m.`k.l` ==", missing: "m.`k.l` [COLLECTION ASCENDING]"},
		"ascending only":                     {where: "y <"},
		"ascending only, equality":           {where: "y =="},
		"ascending only, downwards":          {orders: "-y", missing: `y [COLLECTION ASCENDING, COLLECTION DESCENDING]`},
		"ascending only, array":              {where: "y has", missing: `y [COLLECTION ASCENDING, COLLECTION CONTAINS]`},
		"or, both served":                    {where: "z == or v =="},
		"or, one not":                        {where: "z == or x ==", missing: `x [COLLECTION ASCENDING]`},
		"or with order":                      {where: "a == or d ==", orders: "b"},
		"or with order, one not":             {where: "a == or z ==", orders: "b", missing: `z ASCENDING, b ASCENDING`},
		"or of ands":                         {where: "a == and b < or d == and b <"},
		"range in one branch orders all":     {where: "z == or b <", missing: `z ASCENDING, b ASCENDING`},
		"group":                              {group: true},
		"group, equality":                    {group: true, where: "z ==", missing: `z [COLLECTION ASCENDING, COLLECTION DESCENDING, COLLECTION CONTAINS, COLLECTION_GROUP ASCENDING]`},
		"group, listed equality":             {group: true, where: "g =="},
		"listed for the group only":          {where: "g ==", missing: `g [COLLECTION_GROUP ASCENDING, COLLECTION ASCENDING]`},
		"group, composite":                   {group: true, where: "a ==", orders: "b"},
		"group, composite of collections":    {group: true, where: "a ==", orders: "-b", missing: `a ASCENDING, b DESCENDING`},
		"group, by name":                     {group: true, where: "__name__ <"},
		"wildcard exempts":                   {collection: "w", where: "any.k ==", missing: `any.k [COLLECTION ASCENDING]`},
		"wildcard, its exception":            {collection: "w", where: "due <", orders: "due"},
		"another collection":                 {collection: "other", where: "x =="},
		"another collection's composite":     {collection: "other", where: "a ==", orders: "b", missing: `a ASCENDING, b ASCENDING`},
		"sum":                                {sum: "z"},
		"sum of an exempt field":             {sum: "x", missing: `x [COLLECTION ASCENDING]`},
		"sum under equality":                 {where: "a ==", sum: "b"},
		"sum under equality, not listed":     {where: "z ==", sum: "b", missing: `z ASCENDING, b ASCENDING`},
		"sum of a field compared":            {where: "z ==", sum: "z"},
		"sum of a field in the order":        {where: "a == and b <", sum: "b"},
		"sum in either direction":            {where: "x ==", sum: "u"},
	}
	s, err := indexes.Parse([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			collection := tc.collection
			if collection == "" {
				collection = "c"
			}
			q := parseQuery(collection, tc.group, tc.where, tc.orders)
			var sums []*pb.StructuredAggregationQuery_Aggregation
			if tc.sum != "" {
				sums = append(sums, &pb.StructuredAggregationQuery_Aggregation{Operator: &pb.StructuredAggregationQuery_Aggregation_Sum_{
					Sum: &pb.StructuredAggregationQuery_Aggregation_Sum{Field: &pb.StructuredQuery_FieldReference{FieldPath: tc.sum}},
				}})
			}
			err := s.Supports(q, sums...)
			if got := brief(err); got != tc.missing {
				t.Errorf("Supports: %v\nwants %q, want %q", err, got, tc.missing)
			}
			if err != nil {
				checkAdvice(t, err, q, sums)
			}
		})
	}
}

// TestLoadServesTheQueriesOfTheSystem is the contract of indexes.json with the packages that query.
func TestLoadServesTheQueriesOfTheSystem(t *testing.T) {
	t.Parallel()
	s, err := indexes.Load()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		collection, where, orders string
		served                    bool
	}{
		"a wallet's entries, newest first":      {"entries", "lane in", "-at", true},
		"the last entry at a moment":            {"entries", "lane in and at <", "-at", true},
		"entries by time alone":                 {"entries", "", "-at", false},
		"entries by sequence":                   {"entries", "seq ==", "", false},
		"entries of a lane without order":       {"entries", "lane ==", "", false},
		"entries by a running balance":          {"entries", "after.available <", "", false},
		"entries by their metadata":             {"entries", "metadata.job ==", "", false},
		"grants that wait, in burn-down order":  {"grants", "order >", "order", true},
		"grants that are due, oldest first":     {"grants", "due_at <", "due_at", true},
		"grants of a subscription's item":       {"grants", "item ==", "", true},
		"bonuses of a purchase":                 {"grants", "linked_to ==", "", true},
		"grants by what is free":                {"grants", "free >", "", false},
		"reversals of a debit":                  {"entries", "reverses ==", "", true},
		"open holds that are due, oldest first": {"holds", "lane in and expires_at <", "expires_at", true},
		"holds by their end alone":              {"holds", "expires_at <", "expires_at", false},
		"holds of a user":                       {"holds", "user ==", "", false},
		"what stands in the outbox":             {"outbox", "at <", "at", true},
		"wallets with something due":            {"wallets", "next_due_at <", "next_due_at", true},
		"wallets by a grant of theirs":          {"wallets", "grants.g.free <", "", false},
		"wallets by what they hold":             {"wallets", "held <", "", false},
		"counters by a subject":                 {"counters", "used.u <", "", false},
		"roll-ups by a cell":                    {"usage", "cells.c <", "", false},
		"refusals of a user, newest first":      {"refusals", "user ==", "-first_at", true},
		"refusals, newest first":                {"refusals", "", "-first_at", true},
		"refusals by their code":                {"refusals", "code ==", "", false},
		"refusals by the time they are deleted": {"refusals", "expire_at <", "", false},
		"events by the time they are deleted":   {"stripeEvents", "", "expire_at", false},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			err := s.Supports(parseQuery(tc.collection, false, tc.where, tc.orders))
			if (err == nil) != tc.served {
				t.Errorf("Supports: %v, want it served: %t", err, tc.served)
			}
		})
	}
}

func TestSupportsBoundsItsWork(t *testing.T) {
	t.Parallel()
	s, err := indexes.Parse([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	deep := parseFilter("z ==")
	for range 50 {
		deep = &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{CompositeFilter: &pb.StructuredQuery_CompositeFilter{
			Op: pb.StructuredQuery_CompositeFilter_AND, Filters: []*pb.StructuredQuery_Filter{deep},
		}}}
	}
	pair := parseFilter("a == or b ==")
	wide := &pb.StructuredQuery_CompositeFilter{Op: pb.StructuredQuery_CompositeFilter_AND}
	for range 60 {
		wide.Filters = append(wide.Filters, pair)
	}
	from := []*pb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}
	tests := map[string]*pb.StructuredQuery{
		"nested 50 deep":       {From: from, Where: deep},
		"2 to the 60 branches": {From: from, Where: &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{CompositeFilter: wide}}},
		"no collection":        {},
	}
	for desc, q := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			if err := s.Supports(q); err == nil {
				t.Error("Supports took it")
			}
		})
	}
}
