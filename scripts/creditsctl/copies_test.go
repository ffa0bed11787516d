package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/archive"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// onDatabase runs the tool on a database.
func onDatabase(t *testing.T, e *engine.Engine, args ...string) (string, error) {
	t.Helper()
	addr, err := e.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := &tool{in: strings.NewReader(""), out: &out, err: &bytes.Buffer{}, options: []option.ClientOption{
		option.WithEndpoint(addr.String()), option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}, lookup: func(name string) (string, bool) { return e.Project, name == "GOOGLE_CLOUD_PROJECT" }}
	err = c.run(t.Context(), args)
	return out.String(), err
}

func TestAWalletIsExportedAndProved(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	zone := "Africa/Johannesburg"
	for _, c := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 500, Payment: "pi_1"}},
	} {
		if _, err := l.Do(context.Background(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "acme")
	out, err := onDatabase(t, e, "wallet", "export", "acme", "-o", path, "-json")
	var told exported
	if err != nil || json.Unmarshal([]byte(out), &told) != nil || told.Documents < 2 || told.File != path {
		t.Fatalf("%s %v", out, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v %v", info.Mode(), err)
	}
	if _, err := onDatabase(t, e, "wallet", "export", "acme", "-o", path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
	if out, err := onDatabase(t, e, "wallet", "prove", path); err != nil || !strings.Contains(out, "all figures agree") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := onDatabase(t, e, "wallet", "audit", "acme"); err != nil || !strings.Contains(out, "all figures agree") {
		t.Errorf("%s %v", out, err)
	}
	// The wallet is spoilt: the copy and the replay both tell.
	if _, err := e.Client.Doc("wallets/acme").Set(t.Context(), map[string]any{"v": 1, "seq": 9}); err != nil {
		t.Fatal(err)
	}
	out, err = onDatabase(t, e, "wallet", "prove", path, "-json")
	var p proved
	if !errors.Is(err, errNotProved) || json.Unmarshal([]byte(out), &p) != nil || p.Same || p.Changed.Count != 1 || p.Replay == "" {
		t.Errorf("%s %v", out, err)
	}
	out, err = onDatabase(t, e, "wallet", "audit", "acme", "-json")
	var a audited
	if !errors.Is(err, errNotProved) || json.Unmarshal([]byte(out), &a) != nil || a.OrgID != "acme" || a.Replay != p.Replay {
		t.Errorf("%s %v", out, err)
	}
	if out, err := onDatabase(t, e, "wallet", "audit", "nobody"); !errors.Is(err, errNotProved) {
		t.Errorf("no wallet: %s %v", out, err)
	}
	if _, err := onDatabase(t, e, "wallet", "export", "nobody", "-o", path+"2"); !errors.Is(err, archive.ErrNoWallet) {
		t.Errorf("no wallet: %v", err)
	}
	if _, err := os.Stat(path + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a copy is left: %v", err)
	}
}
