package launch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
	"github.com/greenroom/greenroom/internal/tracing/tracingtest"
)

// traced returns a context within a trace that is exported to a collector, and what ends both.
func traced(t testing.TB, collector *tracingtest.Collector) (ctx context.Context, end func()) {
	t.Helper()
	traces, err := tracing.Open(tracing.Settings{URL: collector.URL + "/v1/traces", Ratio: 1}, logrus.NewEntry(logrus.New()))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/sessions", nil).WithContext(t.Context())
	ctx, span := traces.Request(r)
	return ctx, func() {
		span.End(nil)
		if err := traces.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAFailedPartOfALaunchIsAFailedSpan: what failed, and that it was tried again.
func TestAFailedPartOfALaunchIsAFailedSpan(t *testing.T) {
	collector := tracingtest.New(t)
	ctx, end := traced(t, collector)
	w := &world{ready: []string{"s1", "s2"}, fail: map[string]error{"hook-of-s1": errAway}}
	if _, err := on(w, 10, launch.Bounds{}).Launch(ctx, of("hooked")); err != nil {
		t.Fatal(err)
	}
	end()
	all := collector.Of(tracing.ID(ctx))
	tree := tracingtest.Tree(all, "", func(tracingtest.Span) bool { return true })
	if tree != "POST(launch(resolve claim fence hook claim fence hook finish))" {
		t.Errorf("the trace is %s", tree)
	}
	var hooks []string
	for _, s := range all {
		if s.Name == "hook" {
			hooks = append(hooks, fmt.Sprintf("%s %q", s.Attribute("greenroom.session"), s.Status.GetMessage()))
		}
	}
	if got := strings.Join(hooks, ", "); got != `s1 "away", s2 ""` {
		t.Errorf("the hooks are %s", got)
	}
}

// of is a launch of an image.
func of(image string) launch.Request {
	return launch.Request{Launch: staging.Launch{Image: image, Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute}
}

// BenchmarkLaunch is a launch of a staged session on servers in memory: without a trace, and with one
// that is exported.
func BenchmarkLaunch(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("traced=%t", with), func(b *testing.B) {
			ctx, end := b.Context(), func() {}
			if with {
				ctx, end = traced(b, tracingtest.New(b))
			}
			w := &world{}
			launcher := on(w, 10, launch.Bounds{})
			defer launcher.Close()
			b.ReportAllocs()
			for b.Loop() {
				w.mu.Lock()
				w.calls, w.ready = w.calls[:0], append(w.ready[:0], "s1")
				w.mu.Unlock()
				if _, err := launcher.Launch(ctx, of("plain")); err != nil {
					b.Fatal(err)
				}
			}
			end()
		})
	}
}
