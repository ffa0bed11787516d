// Package cloud opens the clients of Google Cloud's services that functions share: Firestore and Pub/Sub. With an emulator's host in the
// configuration it talks to that, in clear and without credentials.
//
// It owns how connections are made. It does not own what is stored or published, and keeps nothing: whoever opens a client closes it.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"

	"cloud.google.com/go/firestore"
	apiv1 "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Config says which project, and where its services are.
type Config struct {
	Project  string `env:"GOOGLE_CLOUD_PROJECT, required"`
	Database string `env:"FIRESTORE_DATABASE, default=(default)"`
	// The host:port of an emulator, or of the embedded engine.
	FirestoreEmulator string `env:"FIRESTORE_EMULATOR_HOST"`
	PubSubEmulator    string `env:"PUBSUB_EMULATOR_HOST"`
}

// Dial opens a connection, as net.Dialer's DialContext does; nil stands for that.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// Clients are open connections to a project's services.
type Clients struct {
	Documents *firestore.Client // for documents outside wallets
	Commits   *apiv1.Client     // the generated API, which the commit path of wallets uses
	Messages  *pubsub.Client    // to publish
	Database  string            // the database's name as the API's requests want it

	keep func() bool // from being closed when the context ends
}

// Open opens the clients. They connect when they are first used, by dial, and are closed when ctx ends.
func Open(ctx context.Context, c Config, dial Dial) (_ *Clients, err error) {
	out := &Clients{Database: "projects/" + c.Project + "/databases/" + c.Database}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open the services of %s: %w", c.Project, err), out.Close())
		}
	}()
	// Each client has a connection of its own to an emulator, since each closes its own.
	if out.Documents, err = firestore.NewClientWithDatabase(ctx, c.Project, c.Database, options(c.FirestoreEmulator, dial)...); err != nil {
		return nil, err
	}
	if out.Commits, err = apiv1.NewClient(ctx, options(c.FirestoreEmulator, dial)...); err != nil {
		return nil, err
	}
	if out.Messages, err = pubsub.NewClient(ctx, c.Project, options(c.PubSubEmulator, dial)...); err != nil {
		return nil, err
	}
	out.keep = context.AfterFunc(ctx, func() { _ = out.close() }) // nobody is left who could be told
	return out, nil
}

// Close closes what is open, unless the end of the context did.
func (c *Clients) Close() error {
	if c.keep != nil && !c.keep() {
		return nil
	}
	return c.close()
}

func (c *Clients) close() error {
	var errs []error
	if c.Documents != nil {
		errs = append(errs, c.Documents.Close())
	}
	if c.Commits != nil {
		errs = append(errs, c.Commits.Close())
	}
	if c.Messages != nil {
		errs = append(errs, c.Messages.Close())
	}
	return errors.Join(errs...)
}

// CloseOnError closes what is open if *err is set, and adds what goes wrong with that: to be deferred by whoever opens clients for something
// that may yet fail.
func (c *Clients) CloseOnError(err *error) {
	if *err != nil {
		*err = errors.Join(*err, c.Close())
	}
}

// options are those of Google's own service when no emulator is named.
func options(emulator string, dial Dial) []option.ClientOption {
	if emulator == "" {
		return nil
	}
	endpoint := emulator
	var opts []option.ClientOption
	if dial != nil {
		endpoint = "passthrough:///" + emulator // the name is dial's to resolve
		opts = append(opts, option.WithGRPCDialOption(grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dial(ctx, "tcp", address)
		})))
	}
	return append(opts,
		option.WithEndpoint(endpoint),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
		option.WithGRPCDialOption(grpc.WithPerRPCCredentials(owner{})),
	)
}

// owner is the bearer for whom Google's emulator applies no security rules.
type owner struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (owner) RequireTransportSecurity() bool { return false }
