package notify

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/orgs"
)

const (
	// keyBytes is how long the key is that tokens are signed with, signatureBytes how much of a signature a token bears.
	keyBytes, signatureBytes = 32, 16
	// tokenMax bounds a token.
	tokenMax = 512
)

// OptOuts knows which addresses have left which topics of an organisation's mails, and makes the tokens by which they do: whoever has a mail can
// leave its topic, without signing in, and nobody else can. An address is kept as a hash. It is safe for concurrent use.
//
// The key is made once, and kept beside what it protects: who can read it could write the choices themselves.
type OptOuts struct {
	client *firestore.Client
	now    func() time.Time

	mu  sync.Mutex
	key []byte
}

// NewOptOuts returns an OptOuts. now is the system's clock.
func NewOptOuts(client *firestore.Client, now func() time.Time) (*OptOuts, error) {
	if client == nil || now == nil {
		return nil, errors.New("leaving topics needs a client and a clock")
	}
	return &OptOuts{client: client, now: now}, nil
}

// keyDoc is the document mailKeys/unsubscribe.
type keyDoc struct {
	V   int64     `firestore:"v"`
	Key []byte    `firestore:"key"`
	At  time.Time `firestore:"at"`
}

// optOut is the document orgs/{org}/optouts/{hash of an address}.
type optOut struct {
	V      int64        `firestore:"v"`
	Topics []orgs.Topic `firestore:"topics"`
	At     time.Time    `firestore:"at"`
}

// Choice is what a token is about.
type Choice struct {
	Org   string
	Topic orgs.Topic
	// address is the hash of the address that the mail went to.
	address string
}

// Token makes the token by which an address leaves a topic. One read, and a write, the first time. The error is an *Error, `unavailable`.
func (o *OptOuts) Token(ctx context.Context, org string, topic orgs.Topic, address string) (string, error) {
	key, err := o.signingKey(ctx)
	if err != nil {
		return "", err
	}
	said := strings.Join([]string{org, string(topic), addressHash(address)}, "|")
	return encode([]byte(said)) + "." + encode(sign(key, said)), nil
}

// Read tells what a token is about, if it is one of ours. The error is an *Error, `invalid_request` or `unavailable`.
func (o *OptOuts) Read(ctx context.Context, token string) (Choice, error) {
	wrong := &Error{coded.Reason{Is: "invalid_request", Says: "The link is not complete, or not one of ours.", With: map[string]any{"field": "token"}}}
	body, signature, ok := strings.Cut(token, ".")
	if !ok || len(token) > tokenMax {
		return Choice{}, wrong
	}
	said, err1 := base64.RawURLEncoding.Strict().DecodeString(body)
	given, err2 := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err1 != nil || err2 != nil {
		return Choice{}, wrong
	}
	key, err := o.signingKey(ctx)
	if err != nil {
		return Choice{}, err
	}
	parts := strings.Split(string(said), "|")
	if !hmac.Equal(given, sign(key, string(said))) || len(parts) != 3 { //nolint:mnd // organisation, topic, address
		return Choice{}, wrong
	}
	return Choice{Org: parts[0], Topic: orgs.Topic(parts[1]), address: parts[2]}, nil
}

// Set makes the address of a choice leave its topic, or come back to it. It may be repeated. One write. The error is an *Error, `unavailable`.
func (o *OptOuts) Set(ctx context.Context, c Choice, out bool) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var change any = firestore.ArrayRemove(c.Topic)
	if out {
		change = firestore.ArrayUnion(c.Topic)
	}
	_, err := o.document(c.Org, c.address).Set(ctx, map[string]any{
		"v": schemaVersion, "topics": change, "at": o.now().UTC().Truncate(time.Microsecond),
	}, firestore.MergeAll)
	if err != nil {
		return unavailable(fmt.Errorf("write a choice of %s: %w", c.Org, err))
	}
	return nil
}

// staying are those of some addresses who have not left a topic. A read for each, in one call. The error is an *Error, `unavailable`.
func (o *OptOuts) staying(ctx context.Context, org string, topic orgs.Topic, addresses []string) ([]string, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	refs := make([]*firestore.DocumentRef, len(addresses))
	for i, a := range addresses {
		refs[i] = o.document(org, addressHash(a))
	}
	got, err := o.client.GetAll(ctx, refs)
	if err != nil {
		return nil, unavailable(fmt.Errorf("read the choices of %s: %w", org, err))
	}
	var out []string
	for i, snapshot := range got {
		var d optOut
		if snapshot.Exists() {
			if err := snapshot.DataTo(&d); err != nil || d.V > schemaVersion {
				return nil, unavailable(fmt.Errorf("%s has version %d, this release knows %d: %w", snapshot.Ref.Path, d.V, schemaVersion, err))
			}
		}
		if !slices.Contains(d.Topics, topic) {
			out = append(out, addresses[i])
		}
	}
	return out, nil
}

func (o *OptOuts) document(org, hash string) *firestore.DocumentRef {
	return o.client.Collection("orgs").Doc(org).Collection("optouts").Doc(hash)
}

// signingKey is the key, made by whoever needs it first.
func (o *OptOuts) signingKey(ctx context.Context) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.key != nil {
		return o.key, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ref := o.client.Collection("mailKeys").Doc("unsubscribe")
	snapshot, err := ref.Get(ctx)
	if status.Code(err) == codes.NotFound {
		key := make([]byte, keyBytes)
		rand.Read(key)
		_, err = ref.Create(ctx, keyDoc{V: schemaVersion, Key: key, At: o.now().UTC().Truncate(time.Microsecond)})
		if err == nil || status.Code(err) == codes.AlreadyExists { // whoever was first made the key
			snapshot, err = ref.Get(ctx)
		}
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("read the key of %s: %w", ref.Path, err))
	}
	var d keyDoc
	if err := snapshot.DataTo(&d); err != nil || d.V > schemaVersion || len(d.Key) != keyBytes {
		return nil, unavailable(fmt.Errorf("%s has version %d and a key of %d bytes: %w", ref.Path, d.V, len(d.Key), err))
	}
	o.key = d.Key
	return o.key, nil
}

func sign(key []byte, said string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("unsubscribe:" + said))
	return mac.Sum(nil)[:signatureBytes]
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
