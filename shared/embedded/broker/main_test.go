package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
)

// victimEnv makes this test binary serve a broker on a file instead of running tests, so that a test can kill it.
const victimEnv = "CREDITS_BROKER_VICTIM"

// victim is what the process to be killed serves.
type victim struct {
	Path, Endpoint string
}

func TestMain(m *testing.M) {
	if config := os.Getenv(victimEnv); config != "" {
		if err := runVictim(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runVictim prints the address on which it serves, and serves until it is killed or its minute is over.
func runVictim(config string) error {
	var v victim
	if err := json.Unmarshal([]byte(config), &v); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	b, err := broker.Open(broker.Options{Path: v.Path})
	if err != nil {
		return err
	}
	if err := b.Topic(ctx, usage); err != nil {
		return err
	}
	sub := broker.Subscription{Name: usagePush, Topic: usage, URL: v.Endpoint, Retry: &broker.Retry{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}}
	if err := b.Subscribe(ctx, sub); err != nil {
		return err
	}
	addr, err := b.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(addr)
	<-ctx.Done()
	return b.Close()
}
