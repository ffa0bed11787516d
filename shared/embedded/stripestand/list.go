package stripestand

import (
	"strconv"
	"strings"
)

const (
	defaultPage = 10
	maxPage     = 100
)

var (
	pageParams    = newSpec("limit int", "starting_after", "ending_before")
	createdParams = newSpec("created int", "created[gt] int", "created[gte] int", "created[lt] int", "created[lte] int")
	searchParams  = newSpec("query!", "limit int", "page")
)

// page answers a list endpoint with the newest objects first. keep says which
// belong.
func page[T any](o *op, url string, t *table[T], keep func(*T) bool) (any, error) {
	limit, err := o.pageLimit()
	if err != nil {
		return nil, err
	}
	from, step := t.len()-1, -1
	if id := o.p.str("starting_after"); id != "" {
		at, ok := t.index(id)
		if !ok {
			return nil, missing("object", "starting_after", id)
		}
		from = at - 1
	}
	if id := o.p.str("ending_before"); id != "" {
		at, ok := t.index(id)
		if !ok {
			return nil, missing("object", "ending_before", id)
		}
		from, step = at+1, 1
	}
	out := newList(url, []*T{})
	for i := from; i >= 0 && i < t.len(); i += step {
		row := t.at(i)
		if !keep(row) {
			continue
		}
		if len(out.Data) == limit {
			out.HasMore = true
			break
		}
		out.Data = append(out.Data, row)
	}
	if step > 0 {
		for i, j := 0, len(out.Data)-1; i < j; i, j = i+1, j-1 {
			out.Data[i], out.Data[j] = out.Data[j], out.Data[i]
		}
	}
	return out, nil
}

func (o *op) pageLimit() (int, error) {
	if !o.p.has("limit") {
		return defaultPage, nil
	}
	n := o.p.integer("limit")
	if n < 1 || n > maxPage {
		return 0, invalid("parameter_invalid_integer", "limit", "Invalid limit: must be between 1 and %d", maxPage)
	}
	return int(n), nil
}

// inCreatedRange reports whether a moment is in the range that the created
// parameter asks for.
func (o *op) inCreatedRange(created int64) bool {
	for name, holds := range map[string]func(int64) bool{
		"created":      func(n int64) bool { return created == n },
		"created[gt]":  func(n int64) bool { return created > n },
		"created[gte]": func(n int64) bool { return created >= n },
		"created[lt]":  func(n int64) bool { return created < n },
		"created[lte]": func(n int64) bool { return created <= n },
	} {
		if o.p.str(name) != "" && !holds(o.p.integer(name)) {
			return false
		}
	}
	return true
}

// wants reports whether a list's filter is absent or equal to the value.
func (o *op) wants(param string, value string) bool {
	return o.p.str(param) == "" || o.p.str(param) == value
}

// searchTerm is one condition of a search query: field:"value" or
// metadata["key"]:"value".
type searchTerm struct{ field, value string }

// parseSearch reads the part of Stripe's search language that the stand-in
// knows: equalities joined by AND.
func parseSearch(query string) ([]searchTerm, error) {
	var terms []searchTerm
	for part := range strings.SplitSeq(query, " AND ") {
		field, value, ok := strings.Cut(strings.TrimSpace(part), ":")
		field = strings.NewReplacer(`'`, "", `"`, "").Replace(strings.TrimSpace(field))
		unquoted := strings.Trim(strings.TrimSpace(value), `'"`)
		if !ok || field == "" || len(value) < 2 || strings.HasPrefix(field, "-") {
			return nil, invalid("", "query", "We were unable to parse your search query: the stand-in knows "+
				`field:"value" and metadata["key"]:"value" joined by AND`)
		}
		terms = append(terms, searchTerm{field: field, value: unquoted})
	}
	return terms, nil
}

type searchResult[T any] struct {
	Object   string `json:"object"`
	Data     []*T   `json:"data"`
	HasMore  bool   `json:"has_more"`
	NextPage text   `json:"next_page"`
	URL      string `json:"url"`
}

// search answers a search endpoint with the newest objects first. field gives
// an object's value of a searchable field, and whether the kind has that field.
func search[T any](o *op, url string, t *table[T], field func(*T, string) (string, bool)) (any, error) {
	terms, err := parseSearch(o.p.str("query"))
	if err != nil {
		return nil, err
	}
	limit, err := o.pageLimit()
	if err != nil {
		return nil, err
	}
	skip := 0
	if after := o.p.str("page"); after != "" {
		if skip, err = strconv.Atoi(after); err != nil || skip < 0 {
			return nil, invalid("", "page", "Invalid page: %s", after)
		}
	}
	var blank T
	for _, term := range terms {
		if _, known := field(&blank, term.field); !known {
			return nil, invalid("", "query", "Field `%s` is an unsupported search field for this resource.", term.field)
		}
	}
	out := searchResult[T]{Object: "search_result", Data: []*T{}, URL: url}
	matched := 0
	for i := t.len() - 1; i >= 0; i-- {
		row := t.at(i)
		if !matches(row, terms, field) {
			continue
		}
		matched++
		if matched <= skip {
			continue
		}
		if len(out.Data) == limit {
			out.HasMore, out.NextPage = true, text(strconv.Itoa(skip+limit))
			break
		}
		out.Data = append(out.Data, row)
	}
	return out, nil
}

func matches[T any](row *T, terms []searchTerm, field func(*T, string) (string, bool)) bool {
	for _, term := range terms {
		if value, _ := field(row, term.field); value != term.value {
			return false
		}
	}
	return true
}

// metaField resolves metadata[key] for search.
func (m metadata) searchField(field string) (string, bool) {
	key, ok := strings.CutPrefix(field, "metadata[")
	if !ok {
		return "", false
	}
	return m[strings.TrimSuffix(key, "]")], true
}
