package config

import (
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"strings"
)

// TracingSettings are where a broker exports OpenTelemetry traces.
type TracingSettings struct {
	// URL takes the traces by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; "" for no
	// traces.
	URL string
	// SampleRatio is the share of traces that are sampled, from 0 to 1, of those whose caller has not
	// decided that.
	SampleRatio float64
	// Headers are sent with each export, by their names; they may be secret.
	Headers map[string]Secret
	// TLS is for an https URL.
	TLS TLS
}

// tracingSettings returns the settings of traces. Their variables are OpenTelemetry's own, and those of
// greenroom go before them.
func tracingSettings() []setting {
	at := func(url func(string) (string, error)) value {
		return value{
			hclType: "string",
			set: func(a *Agent, text string) (err error) {
				a.Tracing.URL, err = url(text)
				return err
			},
			get: func(a *Agent) string { return a.Tracing.URL },
		}
	}
	headers := func(list func(text string) []string) func(a *Agent, text string) error {
		return func(a *Agent, text string) (err error) {
			a.Tracing.Headers, err = headersOf(list(text))
			return err
		}
	}
	commas := value{set: headers(func(text string) []string { return strings.Split(text, ",") })}
	lines := value{hclType: "string", path: true, set: func(a *Agent, path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return unreadableFile(err)
		}
		return headers(func(text string) []string { return strings.Split(text, "\n") })(a, string(b))
	}}
	ratio := decimal(func(a *Agent) *float64 { return &a.Tracing.SampleRatio })
	return []setting{
		{"", "", []string{"OTEL_EXPORTER_OTLP_ENDPOINT"}, Broker, "", at(tracesBelow)},
		{"", "", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}, Broker, "", at(tracesAt)},
		{"tracing.endpoint", "tracing-endpoint", []string{"GREENROOM_TRACING_ENDPOINT"}, Broker, "where traces go by OTLP over HTTP, such as http://127.0.0.1:4318, below which they go to /v1/traces; empty for no traces", at(tracesBelow)},
		{"", "", []string{"OTEL_TRACES_SAMPLER_ARG"}, Broker, "", ratio},
		{"tracing.sample_ratio", "tracing-sample-ratio", []string{"GREENROOM_TRACING_SAMPLE_RATIO"}, Broker, "the share of traces that are exported, from 0 to 1, of those whose caller has not decided that", ratio},
		{"", "", []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}, Broker, "", commas},
		{"tracing.headers_file", "tracing-headers-file", []string{"GREENROOM_TRACING_HEADERS_FILE"}, Broker, "a file with headers for the exports, a NAME=VALUE on each line", lines},
	}
}

// TraceByVariables sets where traces go by the variables alone, for a broker without files and flags.
func (a *Agent) TraceByVariables(getenv func(string) string) error {
	for _, s := range tracingSettings() {
		for _, name := range s.env {
			if text := getenv(name); text != "" {
				if err := s.set(a, text); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				break
			}
		}
	}
	var err error
	a.Tracing.validate(func(_, format string, args ...any) {
		err = fmt.Errorf("the share of traces that are exported "+format, args...)
	})
	return err
}

// tracesBelow returns the URL for traces of a collector.
func tracesBelow(endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	u, err := collector(endpoint)
	if err != nil {
		return "", err
	}
	return u.JoinPath("v1", "traces").String(), nil
}

// tracesAt returns the URL for traces, which is given whole.
func tracesAt(endpoint string) (string, error) {
	u, err := collector(endpoint)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func collector(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("must be a URL such as http://127.0.0.1:4318, is %q", endpoint)
	}
	return u, nil
}

// headersOf reads headers, each as NAME=VALUE with a value that may be percent-encoded.
func headersOf(list []string) (map[string]Secret, error) {
	all := map[string]Secret{}
	for _, text := range list {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		name, encoded, ok := strings.Cut(text, "=")
		value, err := url.PathUnescape(strings.TrimSpace(encoded))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil || strings.ContainsAny(name+value, "\r\n") {
			return nil, fmt.Errorf("each header must be NAME=VALUE, and one is not; its value may be percent-encoded")
		}
		all[textproto.CanonicalMIMEHeaderKey(name)] = Secret(value)
	}
	return all, nil
}

// validate adds what is wrong with the settings of traces.
func (t TracingSettings) validate(add func(flag, format string, args ...any)) {
	if t.SampleRatio < 0 || t.SampleRatio > 1 {
		add("tracing-sample-ratio", "must be between 0 and 1, is %g", t.SampleRatio)
	}
}
