package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/fluxori/ai-credits/shared/telemetry"
	"github.com/fluxori/ai-credits/shared/telemetry/otlp"
)

const (
	// telemetrySetting is the URL to which a deployed function sends figures and traces; without it none are kept.
	telemetrySetting = "TELEMETRY_ENDPOINT"
	// region is where everything runs.
	region = "europe-west4"
	// lastSendTimeout bounds what is sent when an instance is ended, of the ten seconds that it then has.
	lastSendTimeout = 3 * time.Second
)

// sending opens the recorder of a deployed function: nil, which records nothing, if its environment names nobody to send to.
func sending(env Env, function string) (*telemetry.Recorder, error) {
	endpoint, _ := env.Lookup.Lookup(telemetrySetting)
	if endpoint == "" {
		return nil, nil
	}
	project, _ := env.Lookup.Lookup("GOOGLE_CLOUD_PROJECT")
	sink, closing, err := otlp.Open(context.Background(), otlp.Config{
		Endpoint: endpoint, Project: project, Region: region, Function: function, Instance: rand.Text(),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", telemetrySetting, err)
	}
	sink.Failed = func(ctx context.Context, err error) {
		env.Log.WarnContext(ctx, "figures were not sent", slog.Any("error", err))
	}
	recorder, err := telemetry.New(sink)
	if err != nil {
		return nil, err
	}
	// The clients of Google's services make spans of their own where a trace is kept.
	otel.SetTracerProvider(sink.Traces)
	go lastSend(env.Log, recorder, closing)
	return recorder, nil
}

// lastSend waits until the platform ends the instance, and sends what was recorded since the last request that did. It is ended when its
// requests are answered, so nothing else is left to do.
func lastSend(log *slog.Logger, recorder *telemetry.Recorder, closing func(context.Context) error) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	signal.Stop(ended)
	ctx, cancel := context.WithTimeout(context.Background(), lastSendTimeout)
	defer cancel()
	if err := recorder.Stop(ctx); err != nil {
		log.WarnContext(ctx, "the last figures were not sent", slog.Any("error", err))
	}
	if err := closing(ctx); err != nil {
		log.WarnContext(ctx, "the connection for figures was not closed", slog.Any("error", err))
	}
	// The process ends as it would have without this.
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGTERM)
	}
	if err != nil {
		log.ErrorContext(ctx, "the process does not end", slog.Any("error", err))
	}
}
