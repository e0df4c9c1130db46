package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/greenroom/greenroom/broker/gateway"
)

// benchPage is what the benchmark's session answers with.
var benchPage = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write(make([]byte, 2<<10))
})

// load sends requests from several clients for a while, and returns how many a second were
// answered, and the 99th percentile of how long one took.
func load(b *testing.B, client *http.Client, at string, n int) (perSecond float64, p99 time.Duration) {
	b.Helper()
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
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					b.Errorf("answered %d", answer.StatusCode)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	group.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		b.Fatal("nothing was answered")
	}
	return float64(len(all)) / time.Since(began).Seconds(), all[len(all)*99/100]
}

// BenchmarkRequests compares the gateway with a bare httputil.ReverseProxy with the same
// connections to the session, in turns in one run: requests a second, the 99th percentile, and the
// ratio of the medians of the turns.
func BenchmarkRequests(b *testing.B) {
	w := newWorld(b, "", gateway.Options{})
	s := w.session("gr-1", benchPage)
	client := newBrowser(b)
	at := w.open(client, s)
	_, host, _ := s.Upstream("")
	bare := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	defer transport.CloseIdleConnections()
	bare.Transport = transport
	direct := httptest.NewServer(bare)
	defer direct.Close()
	const turns, perTurn = 9, 2000
	load(b, client.Client, direct.URL, perTurn)
	load(b, client.Client, at, perTurn)
	b.ResetTimer()
	for range b.N {
		var ours, theirs, ratios []float64
		var p99, barest []time.Duration
		for range turns {
			rate, tail := load(b, client.Client, direct.URL, perTurn)
			theirs, barest = append(theirs, rate), append(barest, tail)
			again, slow := load(b, client.Client, at, perTurn)
			ours, p99 = append(ours, again), append(p99, slow)
			ratios = append(ratios, again/rate)
		}
		for _, all := range [][]float64{ours, theirs, ratios} {
			slices.Sort(all)
		}
		slices.Sort(p99)
		slices.Sort(barest)
		b.ReportMetric(ours[turns/2], "req/s")
		b.ReportMetric(theirs[turns/2], "bare-req/s")
		b.ReportMetric(ratios[turns/2], "ratio")
		b.ReportMetric(float64(p99[turns/2].Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(barest[turns/2].Microseconds())/1000, "bare-p99-ms")
	}
}

// BenchmarkOpenSockets opens 1,000 WebSockets and reports the memory of the whole process a
// socket: the gateway's, and the client's and the session's, which run in it, too. Without the
// gateway (bare) it is that of the latter alone.
func BenchmarkOpenSockets(b *testing.B) {
	const sockets = 1000
	if _, err := os.Stat("/proc/self"); err != nil {
		b.Skip("needs Linux's limits of files")
	}
	for _, through := range []bool{false, true} {
		b.Run(map[bool]string{false: "bare", true: "gateway"}[through], func(b *testing.B) {
			w := newWorld(b, "", gateway.Options{MaxOpenPerSession: sockets + 1})
			s := w.session("gr-1", echo)
			client := newBrowser(b)
			at := w.open(client, s)
			_, host, _ := s.Upstream("")
			address, origin := "ws"+at[len("http"):], w.server.URL
			if !through {
				address, origin = "ws://"+host+"/", "http://"+host
			}
			for range b.N {
				before := memory()
				var open []*websocket.Conn
				for range sockets {
					d := websocket.Dialer{Jar: client.Jar, ReadBufferSize: 512, WriteBufferSize: 512}
					conn, answer, err := d.DialContext(b.Context(), address, http.Header{"Origin": {origin}})
					if err != nil {
						b.Fatal(err, answer)
					}
					open = append(open, conn)
				}
				for i, conn := range open {
					says(b, conn, fmt.Sprint("message ", i))
				}
				b.ReportMetric(float64(memory()-before)/sockets/1024, "KiB/socket")
				for _, conn := range open {
					conn.Close()
				}
			}
		})
	}
}

// memory returns the bytes of heap and stacks that are in use.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
