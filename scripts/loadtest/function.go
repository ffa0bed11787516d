package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sethvargo/go-envconfig"

	_ "github.com/fluxori/ai-credits/functions/debit"
	_ "github.com/fluxori/ai-credits/functions/usage"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/serve"
)

// functionPart is what a function's process is told.
type functionPart struct {
	Name    string
	Engine  engineReady
	Profile string
}

// functionReady is its answer.
type functionReady struct{ URL string }

// playFunction serves a function as deployed: built from its settings, over HTTP, with the garbage collector's settings that it has in the cloud.
func playFunction(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	lines := bufio.NewReaderSize(in, lineMaxBytes)
	var part functionPart
	if err := hear(lines, &part); err != nil {
		return fmt.Errorf("the function's part: %w", err)
	}
	stop, err := profileTo(part.Profile, part.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	i := slices.IndexFunc(serve.Functions(), func(f serve.Function) bool { return f.Name() == part.Name })
	if i < 0 {
		return fmt.Errorf("there is no function %q", part.Name)
	}
	table, err := limits.Load()
	if err != nil {
		return err
	}
	// The garbage collector is set as in the cloud.
	debug.SetGCPercent(table.Function(part.Name).CollectorPercent())
	debug.SetMemoryLimit(table.Function(part.Name).MemoryLimitBytes())
	settings, err := part.settings()
	if err != nil {
		return err
	}
	log := slog.New(serve.NewLogHandler(os.Stderr, project, slog.LevelError))
	h, err := serve.Functions()[i].Build(ctx, serve.Env{Lookup: envconfig.MapLookuper(settings), Log: log, Now: time.Now})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: http.StripPrefix("/"+part.Name, h), ReadHeaderTimeout: stopTimeout}
	go func() { _ = server.Serve(l) }() // ends with Close
	if err := say(out, functionReady{URL: "http://" + l.Addr().String() + "/" + part.Name}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, lines)
	return errors.Join(err, server.Close())
}

// settings are the function's environment.
func (p functionPart) settings() (map[string]string, error) {
	var listed []map[string]any
	for _, account := range services() {
		listed = append(listed, map[string]any{"email": account, "roles": []string{"spend"}})
	}
	callers, err := json.Marshal(map[string]any{"callers": listed})
	if err != nil {
		return nil, fmt.Errorf("the callers' setting: %w", err)
	}
	return map[string]string{
		"GOOGLE_CLOUD_PROJECT": project, "FIRESTORE_EMULATOR_HOST": p.Engine.Firestore, "PUBSUB_EMULATOR_HOST": p.Engine.PubSub,
		"CALLERS": string(callers), "SERVICE_ISSUER": p.Engine.Issuer, "SERVICE_AUDIENCE": audience, "PUSH_ACCOUNT": pushAccount,
	}, nil
}
