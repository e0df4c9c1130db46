// Package baseline is what a launch is measured against: a bare Gin handler on
// loopback that does one SETNX on Redis, and one create by compare-and-set in
// Consul after it if asked to, and nothing else. No broker that claims sessions in
// Redis and decides them in Consul can answer faster than that.
//
// It promises that its keys are its own, under a prefix that no two floors share,
// and that Close removes them; those in Redis also expire by themselves. It trusts
// whoever can reach its port, which is on loopback: it is for measuring, on servers
// on which a few keys more do no harm.
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
	// callTimeout bounds one claim, and readTimeout the reading of a request.
	callTimeout = 10 * time.Second
	readTimeout = 10 * time.Second
	// keyLife is how long keys stay in Redis when nobody removes them.
	keyLife = time.Hour
	// removal bounds the removal of all keys.
	removal = time.Minute
	// scanned is how many keys Redis looks at in one step of the removal.
	scanned = 1000
)

// Floor is a server that listens.
type Floor struct {
	redis  *redis.Client
	consul *consulapi.KV
	prefix string
	url    string
	server *http.Server
	ended  chan error
}

// Start listens on a free port of loopback. Consul may be nil: then a claim is the
// SETNX alone. The clients stay the caller's, who closes them after Close.
func Start(rdb *redis.Client, consul *consulapi.Client) (*Floor, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the floor cannot listen: %w", err)
	}
	f := &Floor{
		redis:  rdb,
		prefix: "greenroom-floor/" + strings.ToLower(ulid.Make().String()) + "/",
		url:    "http://" + listener.Addr().String(),
		ended:  make(chan error, 1),
	}
	if consul != nil {
		f.consul = consul.KV()
	}
	f.server = &http.Server{Handler: f.handler(), ReadTimeout: readTimeout, WriteTimeout: callTimeout + readTimeout, IdleTimeout: time.Minute}
	go func() { f.ended <- f.server.Serve(listener) }()
	return f, nil
}

// URL is where the floor listens.
func (f *Floor) URL() string { return f.url }

// Claim is where to POST the claim of a name at the floor that listens there, whatever
// the body: it answers 201, 409 when the name was claimed before, or 503 with the reason.
func Claim(url, name string) string { return url + "/claims/" + name }

func (f *Floor) handler() http.Handler {
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
		switch claimed, err := f.claim(ctx, f.prefix+c.Param("name"), body); {
		case err != nil:
			c.String(http.StatusServiceUnavailable, "%s", err)
		case !claimed:
			c.Status(http.StatusConflict)
		default:
			c.JSON(http.StatusCreated, gin.H{"claimed": c.Param("name")})
		}
	})
	return e
}

// claim reports whether the key was nobody's.
func (f *Floor) claim(ctx context.Context, key string, body []byte) (bool, error) {
	claimed, err := f.redis.SetNX(ctx, key, body, keyLife).Result()
	if err != nil || !claimed || f.consul == nil {
		return claimed, err
	}
	// An index of 0 creates, and only creates.
	claimed, _, err = f.consul.CAS(&consulapi.KVPair{Key: key, Value: body}, new(consulapi.WriteOptions).WithContext(ctx))
	return claimed, err
}

// Close stops the server, once it has answered what it was asked, and removes its keys.
func (f *Floor) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), removal)
	defer cancel()
	// A claim that is under way would leave a key behind.
	err := f.server.Shutdown(ctx)
	if served := <-f.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if removed := f.remove(ctx); removed != nil {
		err = errors.Join(err, fmt.Errorf("keys of the floor are left; remove those under %s: %w", f.prefix, removed))
	}
	return err
}

func (f *Floor) remove(ctx context.Context) error {
	var err error
	if f.consul != nil {
		_, err = f.consul.DeleteTree(f.prefix, new(consulapi.WriteOptions).WithContext(ctx))
	}
	var cursor uint64
	for {
		keys, next, scan := f.redis.Scan(ctx, cursor, f.prefix+"*", scanned).Result()
		if scan == nil && len(keys) > 0 {
			scan = f.redis.Unlink(ctx, keys...).Err()
		}
		if scan != nil || next == 0 {
			return errors.Join(err, scan)
		}
		cursor = next
	}
}
