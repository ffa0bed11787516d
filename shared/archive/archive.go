// Package archive copies a wallet out of the database, with every document beneath it, and proves another database's wallet by such a copy.
//
// A copy is text: one JSON object a line. The first says what it is of, each other one is a document, in the order of their paths, and the last
// counts them and bears the SHA-256 of all before it. So a copy that was cut off or changed is known for it, and two copies of the same wallet
// differ in their first and last line alone.
//
// Invariants: a copy is of one moment, since every change beneath a wallet writes the wallet's document too, and that has not moved from the
// first document read to the last; documents are as they are stored, with the types of their values; a version that is newer than this release
// knows is an error and never half understood. Nothing is written to the database.
//
// It does not own what the documents mean (package ledger, whose Audit replays the entries), nor restoring: that is Firestore's, from its backups
// (terraform/playbooks/restore.md). Copies hold what people wrote as reasons: they are to be kept as the database is.
package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
)

const (
	// version is the form of the copies that this release writes and reads.
	version = 1
	// pageSize is how many documents are read at once, readTimeout how long one page may take.
	pageSize    = 300
	readTimeout = 30 * time.Second
	// collectionsMax bounds the collections beneath a wallet.
	collectionsMax = 50
	// maxLineBytes bounds one line: a document has at most 1 MiB, and its JSON some times that.
	maxLineBytes = 16 << 20
)

// Errors of the package.
var (
	// ErrNoWallet says that the organisation has no wallet.
	ErrNoWallet = errors.New("there is no such wallet")
	// ErrMoved says that somebody wrote to the wallet meanwhile: repeat, or freeze the wallet first.
	ErrMoved = errors.New("the wallet was written to meanwhile")
	// ErrNewer says that a copy was made by a newer release.
	ErrNewer = errors.New("the copy was made by a newer release")
	// ErrDamaged says that a copy is not what was written.
	ErrDamaged = errors.New("the copy is damaged")
)

// Database is where wallets are: projects/PROJECT/databases/NAME.
type Database struct {
	Client *firestore.Client
	Name   string
}

// header is a copy's first line.
type header struct {
	V       int       `json:"v"`
	Kind    string    `json:"kind"`
	Org     string    `json:"org"`
	From    string    `json:"from"` // the database
	TakenAt time.Time `json:"taken_at"`
}

const kind = "wallet"

// line is a document: its path within the database, and its fields as Firestore's own JSON has them.
type line struct {
	Path   string          `json:"path"`
	Fields json.RawMessage `json:"fields"`
}

// footer is a copy's last line.
type footer struct {
	Documents int    `json:"documents"`
	SHA256    string `json:"sha256"`
}

// Copied is what a copy holds.
type Copied struct {
	Org       string `json:"org"`
	Documents int    `json:"documents"`
	SHA256    string `json:"sha256"`
}

// Write copies an organisation's wallet to w. When it fails, what was written has no last line, and is no copy. now dates it.
func Write(ctx context.Context, db Database, org string, now time.Time, w io.Writer) (Copied, error) {
	if err := credit.CheckOrg(org); err != nil {
		return Copied{}, err
	}
	out := &writer{to: w, sum: sha256.New()}
	if err := out.line(header{V: version, Kind: kind, Org: org, From: db.Name, TakenAt: now.UTC().Truncate(time.Second)}); err != nil {
		return Copied{}, err
	}
	documents := 0
	err := db.walk(ctx, org, func(l line) error {
		documents++
		return out.line(l)
	})
	if err != nil {
		return Copied{}, fmt.Errorf("copy the wallet of %s: %w", org, err)
	}
	c := Copied{Org: org, Documents: documents, SHA256: hex.EncodeToString(out.sum.Sum(nil))}
	return c, out.line(footer{Documents: c.Documents, SHA256: c.SHA256})
}

// writer writes lines, and sums them.
type writer struct {
	to  io.Writer
	sum hash.Hash
}

func (w *writer) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	w.sum.Write(text)
	_, err = w.to.Write(text)
	return err
}

// walk calls each with the wallet's document and all beneath it, in the order of their paths, at one moment of the wallet.
func (d Database) walk(ctx context.Context, org string, each func(line) error) error {
	name := d.Name + "/documents/wallets/" + org
	before, err := d.get(ctx, name)
	if err != nil {
		return err
	}
	if err := d.tell(before, each); err != nil {
		return err
	}
	collections, err := d.collections(ctx, name)
	if err != nil {
		return err
	}
	for _, collection := range collections {
		if err := d.list(ctx, name, collection, each); err != nil {
			return err
		}
	}
	after, err := d.get(ctx, name)
	if err != nil {
		return err
	}
	if !proto.Equal(before.GetUpdateTime(), after.GetUpdateTime()) {
		return ErrMoved
	}
	return nil
}

func (d Database) get(ctx context.Context, name string) (*pb.Document, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	doc, err := d.Client.GetDocument(ctx, &pb.GetDocumentRequest{Name: name})
	if status.Code(err) == codes.NotFound {
		return nil, ErrNoWallet
	}
	return doc, err
}

// collections are those beneath a document, in order.
func (d Database) collections(ctx context.Context, parent string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var out []string
	for it := d.Client.ListCollectionIds(ctx, &pb.ListCollectionIdsRequest{Parent: parent}); ; {
		id, err := it.Next()
		switch {
		case errors.Is(err, iterator.Done):
			slices.Sort(out)
			return out, nil
		case err != nil:
			return nil, err
		case len(out) == collectionsMax:
			return nil, fmt.Errorf("%s has more than %d collections", parent, collectionsMax)
		}
		out = append(out, id)
	}
}

// list calls each with the documents of a collection, page by page, in the order of their names.
func (d Database) list(ctx context.Context, parent, collection string, each func(line) error) error {
	token := ""
	for {
		page, next, err := d.page(ctx, &pb.ListDocumentsRequest{Parent: parent, CollectionId: collection, PageSize: pageSize, PageToken: token})
		if err != nil {
			return fmt.Errorf("list %s: %w", collection, err)
		}
		for _, doc := range page {
			if err := d.tell(doc, each); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		token = next
	}
}

func (d Database) page(ctx context.Context, r *pb.ListDocumentsRequest) (page []*pb.Document, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	next, err = iterator.NewPager(d.Client.ListDocuments(ctx, r), pageSize, r.GetPageToken()).NextPage(&page)
	return page, next, err
}

// tell makes a document a line. Of each document there is one text: members in order, no spaces.
func (d Database) tell(doc *pb.Document, each func(line) error) error {
	text, err := protojson.Marshal(&pb.Document{Fields: doc.GetFields()})
	if err != nil {
		return err
	}
	var plain struct {
		Fields map[string]any `json:"fields"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&plain); err != nil {
		return err
	}
	fields, err := json.Marshal(plain.Fields)
	if err != nil {
		return err
	}
	return each(line{Path: strings.TrimPrefix(doc.GetName(), d.Name+"/documents/"), Fields: fields})
}

// reader reads a copy, and checks it on the way.
type reader struct {
	lines     *bufio.Scanner
	sum       hash.Hash
	last      string // path
	documents int
	Copied
}

// open reads a copy's first line.
func open(r io.Reader) (*reader, error) {
	c := &reader{lines: bufio.NewScanner(r), sum: sha256.New()}
	c.lines.Buffer(nil, maxLineBytes)
	if !c.lines.Scan() {
		return nil, fmt.Errorf("it is empty: %w", errors.Join(ErrDamaged, c.lines.Err()))
	}
	var h header
	if err := json.Unmarshal(c.lines.Bytes(), &h); err != nil || h.Kind != kind {
		return nil, fmt.Errorf("%w: it does not begin as a copy of a wallet", ErrDamaged)
	}
	if h.V != version {
		return nil, fmt.Errorf("%w: version %d, this one knows %d", ErrNewer, h.V, version)
	}
	if err := credit.CheckOrg(h.Org); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	c.Org = h.Org
	c.add()
	return c, nil
}

// add sums the line at hand.
func (c *reader) add() {
	c.sum.Write(c.lines.Bytes())
	c.sum.Write([]byte{'\n'})
}

// next returns the next document, or io.EOF after a last line that holds.
func (c *reader) next() (line, error) {
	if !c.lines.Scan() {
		return line{}, fmt.Errorf("it was cut off after %d documents: %w", c.documents, errors.Join(ErrDamaged, c.lines.Err()))
	}
	var l struct {
		line
		footer
	}
	if err := json.Unmarshal(c.lines.Bytes(), &l); err != nil {
		return line{}, fmt.Errorf("%w: line %d: %w", ErrDamaged, c.documents+2, err)
	}
	if l.Path != "" {
		if l.Path <= c.last || l.Fields == nil {
			return line{}, fmt.Errorf("%w: %s stands where it cannot", ErrDamaged, l.Path)
		}
		c.add()
		c.last, c.documents = l.Path, c.documents+1
		return l.line, nil
	}
	c.Documents, c.SHA256 = l.Documents, l.SHA256
	if c.Documents != c.documents || c.SHA256 != hex.EncodeToString(c.sum.Sum(nil)) {
		return line{}, fmt.Errorf("%w: its last line is not that of what it holds", ErrDamaged)
	}
	if c.lines.Scan() {
		return line{}, fmt.Errorf("%w: something follows its last line", ErrDamaged)
	}
	return line{}, io.EOF
}
