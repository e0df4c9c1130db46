// Package baseline serves the smallest possible claim, for comparison with a launch:
// a bare Gin handler on loopback that does one SETNX in Redis and, optionally, one
// create by compare-and-set in Consul after it. No broker that claims sessions in
// Redis and decides their fate in Consul can answer faster.
//
// Every server's keys have a prefix of their own, and Close removes them. Keys in
// Redis also expire. There is no authentication: the server listens on loopback and
// is meant for measurements, on servers where a few extra keys do no harm.
package baseline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	consulapi "github.com/hashicorp/consul/api"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
)

const (
	// callTimeout limits one claim, and readTimeout the reading of a request. They find what
	// hangs: a busy machine may take seconds.
	callTimeout = time.Minute
	readTimeout = time.Minute
	// keyTTL is how long keys stay in Redis if Close does not remove them.
	keyTTL = time.Hour
	// removeTimeout limits the removal of all keys.
	removeTimeout = time.Minute
	// scanCount is how many keys Redis examines in one step of the removal.
	scanCount = 1000
)

// Server is a running baseline server.
type Server struct {
	redis  redis.UniversalClient
	consul *consulapi.KV
	prefix string
	url    string
	server *http.Server
	ended  chan error
}

// Start listens on a free port of loopback. If consul is nil, a claim is the SETNX
// alone. The caller closes the clients after Close.
func Start(rdb redis.UniversalClient, consul *consulapi.Client) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the baseline server: listen: %w", err)
	}
	s := &Server{
		redis:  rdb,
		prefix: "greenroom-floor/" + strings.ToLower(ulid.Make().String()) + "/",
		url:    "http://" + listener.Addr().String(),
		ended:  make(chan error, 1),
	}
	if consul != nil {
		s.consul = consul.KV()
	}
	s.server = &http.Server{Handler: s.handler(), ReadTimeout: readTimeout, WriteTimeout: callTimeout + readTimeout, IdleTimeout: time.Minute}
	go func() { s.ended <- s.server.Serve(listener) }()
	return s, nil
}

// URL returns the server's base URL.
func (s *Server) URL() string { return s.url }

// Claim returns the URL that claims a name at the baseline server with the given base
// URL. A POST with any body returns 201 with a body as large as a launch's, 409 if the name is already claimed, or 503
// with the reason.
func Claim(url, name string) string { return url + "/claims/" + name }

func (s *Server) handler() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.POST("/claims/:name", func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), callTimeout)
		defer cancel()
		body, err := c.GetRawData()
		if err != nil {
			c.String(http.StatusBadRequest, "%s", err)
			return
		}
		switch claimed, err := s.claim(ctx, s.prefix+c.Param("name"), body); {
		case err != nil:
			c.String(http.StatusServiceUnavailable, "%s", err)
		case !claimed:
			c.Status(http.StatusConflict)
		default:
			c.Data(http.StatusCreated, "application/json; charset=utf-8", answer(c.Param("name")))
		}
	})
	return e
}

// answer is a body of the size and shape of the answer to a launch, of which a bare handler has most
// ready: to send and to read it costs what a launch's costs.
func answer(name string) []byte {
	return []byte(`{"id":"floor-` + name + sameForAll)
}

const sameForAll = `","state":"assigned","origin":"staged","zone":"floor","image":"floor","staging":"floor","user":{"id":"bench-0000","name":"bench 0000"},` +
	`"alloc_id":"bc61e529-efd3-5bea-e173-daaf22d95f2a","node_id":"ee45c4b8-fcb9-cbd5-0d92-79377ef17e7e","address":"127.0.0.1","ports":{"http":10107},` +
	`"created_at":"2026-11-24T10:47:41.781107109Z","ready_at":"2026-11-24T10:47:48.043Z","assigned_at":"2026-11-24T10:47:48.952Z",` +
	`"token":"EKXdV86OoqvgFPW1o0uzr1FYF996as9mfpm9PqNNtmI","attempts":[{"step":"staged","zone":"floor","outcome":"served"}],` +
	`"timings_ms":{"claim":0.425,"fence":4.919,"hook":0,"total":14.662}}`

// claim creates the key and reports whether it did not exist before.
func (s *Server) claim(ctx context.Context, key string, body []byte) (bool, error) {
	claimed, err := s.redis.SetNX(ctx, key, body, keyTTL).Result()
	if err != nil || !claimed || s.consul == nil {
		return claimed, err
	}
	// A compare-and-set with index 0 only succeeds if the key does not exist.
	claimed, _, err = s.consul.CAS(&consulapi.KVPair{Key: key, Value: body}, new(consulapi.WriteOptions).WithContext(ctx))
	return claimed, err
}

// Close waits for the requests in flight, stops the server and removes its keys.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	// Shut down first: a claim in flight would leave a key behind.
	err := s.server.Shutdown(ctx)
	if served := <-s.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if removed := s.remove(ctx); removed != nil {
		err = errors.Join(err, fmt.Errorf("remove the baseline server's keys; some are left under %s: %w", s.prefix, removed))
	}
	return err
}

func (s *Server) remove(ctx context.Context) error {
	var err error
	if s.consul != nil {
		_, err = s.consul.DeleteTree(s.prefix, new(consulapi.WriteOptions).WithContext(ctx))
	}
	var cursor uint64
	for {
		keys, next, scan := s.redis.Scan(ctx, cursor, s.prefix+"*", scanCount).Result()
		if scan == nil && len(keys) > 0 {
			scan = s.redis.Unlink(ctx, keys...).Err()
		}
		if scan != nil || next == 0 {
			return errors.Join(err, scan)
		}
		cursor = next
	}
}
