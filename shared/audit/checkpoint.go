package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// partBytes is how much of an image one document holds, maxParts how many there are at most.
	partBytes = 700 << 10
	maxParts  = 64
	// storeTimeout bounds one use of the store.
	storeTimeout = 30 * time.Second
)

// Checkpoint is the document audits/{org}: up to where a wallet's entries are added up, and when they were last found to agree with what is
// stored. What they came to stands in audits/{org}/parts/{i}.
type Checkpoint struct {
	V   int64  `firestore:"v"`
	Org string `firestore:"org"`
	// Seq is the last entry that is added up, Digest that of the image, in hexadecimal, Parts the documents that hold it. No digest, no image.
	Seq    int64  `firestore:"seq"`
	Digest string `firestore:"digest"`
	Parts  int64  `firestore:"parts"`
	// VerifiedSeq and VerifiedAt say up to which entry, and when, all agreed; WholeAt when all was last read from the first entry.
	VerifiedSeq int64     `firestore:"verified_seq"`
	VerifiedAt  time.Time `firestore:"verified_at"`
	WholeAt     time.Time `firestore:"whole_at"`
	// Whole says that everything is being read again.
	Whole bool `firestore:"whole"`
	// Finding is what was found wrong when it was last looked at; nil when nothing was.
	Finding *Finding `firestore:"finding"`
	// AcceptedBy accepted what is stored as right at AcceptedAt, for a reason: what came before is not proven.
	AcceptedBy string    `firestore:"accepted_by"`
	AcceptedAt time.Time `firestore:"accepted_at"`
	Reason     string    `firestore:"reason"`
}

type part struct {
	V    int64  `firestore:"v"`
	Org  string `firestore:"org"`
	Data []byte `firestore:"data"`
}

// checkpoints keeps what was verified.
type checkpoints struct{ client *firestore.Client }

func (c checkpoints) doc(org string) *firestore.DocumentRef {
	return c.client.Collection("audits").Doc(org)
}

func (c checkpoints) part(org string, i int64) *firestore.DocumentRef {
	return c.doc(org).Collection("parts").Doc(strconv.FormatInt(i, 10))
}

// head reads the checkpoint of an organisation; the zero one when there is none.
func (c checkpoints) head(ctx context.Context, org string) (Checkpoint, error) {
	heads, err := c.heads(ctx, []string{org})
	return heads[org], err
}

// heads reads the checkpoints of some organisations, those that there are.
func (c checkpoints) heads(ctx context.Context, orgs []string) (map[string]Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	refs := make([]*firestore.DocumentRef, len(orgs))
	for i, org := range orgs {
		refs[i] = c.doc(org)
	}
	out := map[string]Checkpoint{}
	if len(refs) == 0 {
		return out, nil
	}
	docs, err := c.client.GetAll(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("read %d checkpoints: %w", len(refs), err)
	}
	for _, d := range docs {
		if !d.Exists() {
			continue
		}
		var head Checkpoint
		if err := d.DataTo(&head); err != nil {
			head = Checkpoint{} // as good as none: all is read again
		}
		if head.V > schemaVersion {
			return nil, status.Errorf(codes.Unavailable, "the checkpoint of %s has version %d; this release knows %d", d.Ref.ID, head.V, schemaVersion)
		}
		out[d.Ref.ID] = head
	}
	return out, nil
}

// load reads what a checkpoint's entries came to; nil when there is no image, or it is damaged.
func (c checkpoints) load(ctx context.Context, org string, head Checkpoint) (*state, error) {
	if head.Digest == "" || head.Parts < 1 || head.Parts > maxParts {
		return nil, nil //nolint:nilnil // none
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var packed []byte
	for i := range head.Parts { // one by one: each may have 700 KiB
		d, err := c.part(org, i).Get(ctx)
		if status.Code(err) == codes.NotFound {
			return nil, nil //nolint:nilnil // none
		}
		if err != nil {
			return nil, fmt.Errorf("read part %d of the checkpoint of %s: %w", i, org, err)
		}
		var p part
		if err := d.DataTo(&p); err != nil {
			return nil, nil //nolint:nilnil // damaged
		}
		packed = append(packed, p.Data...)
	}
	if digest(packed) != head.Digest {
		return nil, nil //nolint:nilnil // damaged, or two audits wrote at once
	}
	s, err := unpack(org, packed)
	if err != nil || s.book.Seq != head.Seq {
		return nil, nil //nolint:nilnil // of another form
	}
	return s, nil
}

// save keeps a checkpoint with its image; without one, the image stays as it is. An image that is torn by a crash, or by another audit of the
// same wallet, has not the digest that the checkpoint names, and counts as none.
func (c checkpoints) save(ctx context.Context, head Checkpoint, s *state) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	head.V = schemaVersion
	if s != nil {
		packed, err := s.pack()
		if err != nil {
			return err
		}
		head.Seq, head.Digest, head.Parts = s.book.Seq, "", 0
		if len(packed) <= maxParts*partBytes {
			head.Digest = digest(packed)
			for data := range slices.Chunk(packed, partBytes) {
				if _, err := c.part(head.Org, head.Parts).Set(ctx, part{V: schemaVersion, Org: head.Org, Data: data}); err != nil {
					return fmt.Errorf("write part %d of the checkpoint of %s: %w", head.Parts, head.Org, err)
				}
				head.Parts++
			}
		}
	}
	if _, err := c.doc(head.Org).Set(ctx, head); err != nil {
		return fmt.Errorf("write the checkpoint of %s: %w", head.Org, err)
	}
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
