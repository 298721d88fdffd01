package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// tracesTimeout is how long the end of the server waits for the last spans to
// be taken.
const tracesTimeout = 5 * time.Second

// openTraces returns what takes spans, nil unless the variables of
// OpenTelemetry ask for it, and what sends the last of them. The exporter, the
// sampler and the queue read their own variables.
func openTraces(ctx context.Context, getenv func(string) string, log *zerolog.Logger) (trace.TracerProvider, func(), error) {
	on, err := tracesWanted(getenv)
	if err != nil || !on {
		return nil, func() {}, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, usagef("cannot send traces with these OTEL_EXPORTER_OTLP_* variables: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "rdev"), attribute.String("service.version", buildVersion().Version)),
		resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithHost())
	if err != nil {
		log.Warn().Err(err).Msg("OTEL_RESOURCE_ATTRIBUTES")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn().Err(err).Msg("traces") }))
	log.Info().Msg("traces are on")
	return provider, func() {
		ctx, cancel := context.WithTimeout(context.Background(), tracesTimeout)
		defer cancel()
		// A collector that is away is no failure of the server.
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn().Err(err).Msg("the last traces")
		}
	}, nil
}

// tracesWanted reads the variables that say whether there are traces, and
// refuses those that ask for what is not there.
func tracesWanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	case "otlp":
	default:
		return false, usagef("OTEL_TRACES_EXPORTER is %q, want otlp or none", exporter)
	}
	protocol := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	if protocol != "http/protobuf" {
		return false, usagef("OTEL_EXPORTER_OTLP_PROTOCOL is %q, want http/protobuf (a collector takes it on port 4318)", protocol)
	}
	return true, nil
}
