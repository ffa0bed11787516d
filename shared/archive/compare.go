package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// pathsMax bounds how many documents of each sort a comparison names.
const pathsMax = 20

// Comparison is how a wallet stands to a copy.
type Comparison struct {
	Copied
	// Missing documents are in the copy and not in the database, Extra ones the other way round; Changed ones differ.
	Missing Paths `json:"missing"`
	Extra   Paths `json:"extra"`
	Changed Paths `json:"changed"`
}

// Paths are documents, counted, and the first of them named.
type Paths struct {
	Count int      `json:"count"`
	First []string `json:"first"`
}

func (p *Paths) add(path string) {
	p.Count++
	if len(p.First) < pathsMax {
		p.First = append(p.First, path)
	}
}

// Same tells whether the wallet is what was copied, to the last document.
func (c Comparison) Same() bool { return c.Missing.Count+c.Extra.Count+c.Changed.Count == 0 }

// Check reads a copy, and tells what it holds. The error is ErrDamaged or ErrNewer, or the reader's.
func Check(r io.Reader) (Copied, error) {
	c, err := open(r)
	if err != nil {
		return Copied{}, err
	}
	for {
		if _, err := c.next(); errors.Is(err, io.EOF) {
			return c.Copied, nil
		} else if err != nil {
			return Copied{}, err
		}
	}
}

// Compare holds a database's wallet to a copy of it, document by document. That both agree proves a restored wallet as it was copied; that its
// entries make its figures is for the ledger's audit to say.
func Compare(ctx context.Context, db Database, r io.Reader) (Comparison, error) {
	c, err := open(r)
	if err != nil {
		return Comparison{}, err
	}
	var out Comparison
	copied, err := c.next()
	ended := errors.Is(err, io.EOF)
	if err != nil && !ended {
		return Comparison{}, err
	}
	advance := func() error {
		copied, err = c.next()
		if ended = errors.Is(err, io.EOF); ended {
			return nil
		}
		return err
	}
	err = db.walk(ctx, c.Org, func(stored line) error {
		for !ended && copied.Path < stored.Path {
			out.Missing.add(copied.Path)
			if err := advance(); err != nil {
				return err
			}
		}
		if ended || copied.Path != stored.Path {
			out.Extra.add(stored.Path)
			return nil
		}
		if !bytes.Equal(copied.Fields, stored.Fields) {
			out.Changed.add(stored.Path)
		}
		return advance()
	})
	for err == nil && !ended {
		out.Missing.add(copied.Path)
		err = advance()
	}
	if err != nil {
		return Comparison{}, fmt.Errorf("compare the wallet of %s: %w", c.Org, err)
	}
	out.Copied = c.Copied
	return out, nil
}
