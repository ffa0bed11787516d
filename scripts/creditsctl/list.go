package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strconv"
)

// The sizes of lists.
const (
	pageSize     = 200 // the most that the API gives at once
	listDefault  = 50
	listMax      = 10_000
	progressEach = 1000 // items between two lines of progress
)

// page is a list's answer.
type page struct {
	Items         []json.RawMessage `json:"items"`
	NextPageToken string            `json:"next_page_token"`
}

// limitFlag says how many items of a list are wanted.
func limitFlag(flags *flag.FlagSet) *int {
	limit := listDefault
	flags.Func("limit", fmt.Sprintf("how many at most, up to %d (default %d)", listMax, listDefault), func(s string) (err error) {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > listMax {
			return fmt.Errorf("it is a number from 1 to %d", listMax)
		}
		return nil
	})
	return &limit
}

// items reads a list page by page until there are as many as wanted, and says if there are more.
func (a *account) items(ctx context.Context, path string, query url.Values, limit int) (items []json.RawMessage, more bool, err error) {
	if query == nil {
		query = url.Values{}
	}
	for len(items) < limit {
		query.Set("page_size", strconv.Itoa(min(pageSize, limit-len(items))))
		p, _, err := read[page](ctx, a, path, query)
		if err != nil {
			return nil, false, err
		}
		if before := len(items); len(p.Items)+before >= progressEach && (before+len(p.Items))/progressEach > before/progressEach {
			fmt.Fprintf(a.err, "%d so far\n", before+len(p.Items))
		}
		items = append(items, p.Items...)
		if p.NextPageToken == "" {
			return items, false, nil
		}
		if len(p.Items) == 0 {
			return nil, false, errors.New("the API answered with a page without items that is not the last")
		}
		query.Set("page_token", p.NextPageToken)
	}
	return items, true, nil
}

// list shows a list: as a table, or line by line as it is.
func list[T any](ctx context.Context, a *account, path string, query url.Values, limit int, columns []column[T]) error {
	items, more, err := a.items(ctx, path, query, limit)
	if err != nil {
		return err
	}
	if err := show(a, items, columns); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(a.err, "There are more; -limit takes up to %d.\n", listMax)
	}
	return nil
}

// show writes items: as a table, or line by line as they are.
func show[T any](a *account, items []json.RawMessage, columns []column[T]) error {
	if a.json {
		for _, data := range items {
			if err := a.print(data); err != nil {
				return err
			}
		}
		return nil
	}
	rows, err := decoded[T](items)
	if err != nil {
		return err
	}
	return table(a.tool, rows, columns)
}

// decoded are items as values.
func decoded[T any](items []json.RawMessage) ([]T, error) {
	out := make([]T, len(items))
	for i, data := range items {
		if err := json.Unmarshal(data, &out[i]); err != nil {
			return nil, fmt.Errorf("item %d of the list: %w", i, err)
		}
	}
	return out, nil
}
