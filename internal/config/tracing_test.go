package config

import (
	"strings"
	"testing"
)

// TestWhereTracesGo: a file, OpenTelemetry's variables and greenroom's own, in this order. Headers are
// read from a file or a variable, and are not printed.
func TestWhereTracesGo(t *testing.T) {
	dir := write(t, map[string]string{
		"a.hcl":   "tracing {\n  endpoint = \"https://file.example.org/otlp\"\n  sample_ratio = 0.5\n  headers_file = \"headers\"\n}\n",
		"headers": "api-key=s3cret%20key\n\nX-Scope-OrgID = 1\n",
	})
	a, err := load(t, Broker, nil, "--config", dir)
	if err != nil || a.Tracing.URL != "https://file.example.org/otlp/v1/traces" || a.Tracing.SampleRatio != 0.5 ||
		string(a.Tracing.Headers["Api-Key"]) != "s3cret key" || string(a.Tracing.Headers["X-Scope-Orgid"]) != "1" {
		t.Errorf("%+v, %v", a.Tracing, err)
	}
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318", "OTEL_EXPORTER_OTLP_HEADERS": "a=b,c=d", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
	if a, err = load(t, Broker, env, "--config", dir); err != nil || a.Tracing.URL != "http://otel:4318/v1/traces" || len(a.Tracing.Headers) != 2 || a.Tracing.SampleRatio != 0.25 {
		t.Errorf("%+v, %v", a.Tracing, err)
	}
	env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = "http://otel:4318/all"
	if a, err = load(t, Broker, env); err != nil || a.Tracing.URL != "http://otel:4318/all" {
		t.Errorf("%+v, %v", a.Tracing, err)
	}
	env["GREENROOM_TRACING_ENDPOINT"] = "http://own:1"
	if a, err = load(t, Broker, env); err != nil || a.Tracing.URL != "http://own:1/v1/traces" {
		t.Errorf("%+v, %v", a.Tracing, err)
	}
	alone := Agent{Tracing: TracingSettings{SampleRatio: 1}}
	if err := alone.TraceByVariables(func(name string) string { return env[name] }); err != nil || alone.Tracing.URL != "http://own:1/v1/traces" ||
		len(alone.Tracing.Headers) != 2 || alone.Tracing.SampleRatio != 0.25 {
		t.Errorf("by the variables alone: %+v, %v", alone.Tracing, err)
	}
	for name, text := range map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "otel:4318", "OTEL_TRACES_SAMPLER_ARG": "2"} {
		err := alone.TraceByVariables(func(n string) string { return map[string]string{name: text}[n] })
		if err == nil || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%s=%s: %v", name, text, err)
		}
	}
	if a, err = load(t, Scaler, env); err != nil || a.Tracing.URL != "" {
		t.Errorf("a scaler has %+v, %v", a.Tracing, err)
	}
	for args, want := range map[string]string{
		"--tracing-endpoint=otel:4318":              "must be a URL such as http://127.0.0.1:4318",
		"--tracing-sample-ratio=2":                  "must be between 0 and 1, is 2",
		"--tracing-client-cert=" + dir + "/headers": "a certificate without its key",
	} {
		if _, err := load(t, Broker, nil, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if _, err := load(t, Broker, map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a header without a value: %v", err)
	}
}
