package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/benchreport/benchtest"
)

// benchPage is what the benchmark's session answers with.
var benchPage = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write(make([]byte, 2<<10))
})

// load sends requests from several clients for a while, and returns how many a second were
// answered, and the 99th percentile of how long one took.
func load(t *testing.T, client *http.Client, at string, n int) (perSecond float64, p99 time.Duration) {
	t.Helper()
	const clients = 16
	took := make([][]time.Duration, clients)
	var group sync.WaitGroup
	began := time.Now()
	for i := range clients {
		group.Go(func() {
			for range n / clients {
				start := time.Now()
				answer, err := client.Get(at)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Errorf("answered %d", answer.StatusCode)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	group.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		t.Fatal("nothing was answered")
	}
	return float64(len(all)) / time.Since(began).Seconds(), all[len(all)*99/100]
}

// TestMeasureRequestsThroughAGateway is row 14 of make bench. It compares the gateway with a bare
// httputil.ReverseProxy with the same connections to the session, in turns in one run.
func TestMeasureRequestsThroughAGateway(t *testing.T) {
	keep := benchtest.Start(t)
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", benchPage)
	client := newBrowser(t)
	at := w.open(client, s)
	_, host, _ := s.Upstream("")
	bare := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	defer transport.CloseIdleConnections()
	bare.Transport = transport
	direct := httptest.NewServer(bare)
	defer direct.Close()
	const perTurn = 4000
	turns := 2*benchtest.Runs(t) - 1
	load(t, client.Client, direct.URL, perTurn)
	load(t, client.Client, at, perTurn)
	var ours, theirs, ratios, p99, barest []float64
	for range turns {
		rate, tail := load(t, client.Client, direct.URL, perTurn)
		again, slow := load(t, client.Client, at, perTurn)
		theirs, ours, ratios = append(theirs, rate), append(ours, again), append(ratios, again/rate)
		barest, p99 = append(barest, tail.Seconds()*1e3), append(p99, slow.Seconds()*1e3)
	}
	ratio := benchreport.Median(ratios...)
	keep(benchreport.Row{
		Number: 14, What: "requests through a gateway, 16 clients, 2 KiB each",
		Target: "at least 0.85 of a bare httputil.ReverseProxy's a second",
		Figure: fmt.Sprintf("%.0f a second, p99 %.1f ms", benchreport.Median(ours...), benchreport.Median(p99...)),
		Limit:  fmt.Sprintf("bare proxy: %.0f a second, p99 %.1f ms", benchreport.Median(theirs...), benchreport.Median(barest...)),
		Ratio:  ratio, Met: ratio >= 0.85,
		Note: "clients, proxy and session share the machine; the gateway also writes its access log",
		Raw:  map[string][]float64{"gateway_per_s": ours, "bare_per_s": theirs, "ratio": ratios, "gateway_p99_ms": p99, "bare_p99_ms": barest},
	})
}

// TestMeasureOpenSockets is row 15 of make bench: the memory of 1,000 open WebSockets. The clients
// and the session run in the same process, so their part, measured without the gateway, is taken off.
func TestMeasureOpenSockets(t *testing.T) {
	keep := benchtest.Start(t)
	var through, bare, each []float64
	for range benchtest.Runs(t) {
		bare = append(bare, openSockets(t, false))
		through = append(through, openSockets(t, true))
		each = append(each, through[len(through)-1]-bare[len(bare)-1])
	}
	keep(benchreport.Row{
		Number: 15, What: "1,000 WebSockets open at once through a gateway",
		Target: "at most 64 KiB of its memory each",
		Figure: fmt.Sprintf("%.1f KiB each", benchreport.Median(each...)),
		Met:    benchreport.Median(each...) <= 64,
		Note:   fmt.Sprintf("heap and stacks; clients and session take another %.1f KiB each in the same process", benchreport.Median(bare...)),
		Raw:    map[string][]float64{"gateway_kib": each, "process_kib": through, "without_gateway_kib": bare},
	})
}

// openSockets opens 1,000 WebSockets, each of which echoes a message, and returns the KiB of memory
// of this process that each takes.
func openSockets(t *testing.T, through bool) float64 {
	t.Helper()
	const sockets = 1000
	w := newWorld(t, "", gateway.Options{MaxOpenPerSession: sockets + 1})
	s := w.session("gr-1", echo)
	client := newBrowser(t)
	at := w.open(client, s)
	_, host, _ := s.Upstream("")
	address, origin := "ws"+strings.TrimPrefix(at, "http"), w.server.URL
	if !through {
		address, origin = "ws://"+host+"/", "http://"+host
	}
	before := memory()
	open := make([]*websocket.Conn, 0, sockets)
	for range sockets {
		d := websocket.Dialer{Jar: client.Jar, ReadBufferSize: 512, WriteBufferSize: 512}
		conn, answer, err := d.DialContext(t.Context(), address, http.Header{"Origin": {origin}})
		if err != nil {
			t.Fatal(err, answer)
		}
		open = append(open, conn)
	}
	for i, conn := range open {
		says(t, conn, fmt.Sprint("message ", i))
	}
	taken := memory() - before
	for _, conn := range open {
		conn.Close()
	}
	eventually(t, "the sockets are closed", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.sockets == 0
	})
	return float64(taken) / sockets / 1024
}

// memory returns the bytes of heap and stacks that are in use.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
