package engine

import (
	"context"
	"math"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/needs"
)

// proxyEmulator connects to Google's emulator through a proxy, which is where the hooks are.
func (e *Engine) proxyEmulator(tb testing.TB) {
	tb.Helper()
	upstream, err := dial(needs.FirestoreEmulator(tb))
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, "the connection to the emulator", upstream.Close)
	proxy := firedb.Proxy(upstream, e.Hooks)
	cleanup(tb, "the proxy", proxy.Close)
	if e.Conn, err = proxy.Conn(); err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, "the connection to the proxy", e.Conn.Close)
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(owner{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
}

// owner is the bearer for whom the emulator applies no security rules.
type owner struct{}

var _ credentials.PerRPCCredentials = owner{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }
