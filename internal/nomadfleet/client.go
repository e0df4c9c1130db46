package nomadfleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Settings say how to reach Nomad.
type Settings struct {
	// Address is the HTTP API, for example http://127.0.0.1:4646; "" is the
	// client library's default, which heeds NOMAD_ADDR.
	Address string
	// Region is the default region; "" is that of the server asked.
	Region string
	// Token is an ACL token's secret id; "" for none.
	Token string
	// TLS is for https addresses; nil for the system's trust.
	TLS *nomadapi.TLSConfig
}

const (
	dialTimeout = 5 * time.Second
	// idlePerHost lets a burst of registrations reuse its connections: every
	// call goes to the one agent, and Go keeps only two to a host by itself.
	idlePerHost = 64
	// connsPerHost leaves room below the 100 that Nomad takes from one address, for
	// execs, which have connections of their own.
	connsPerHost = 64
	// execTimeout bounds the look-up of a node and the handshake of an exec,
	// not the command: an upgraded connection has left the HTTP client.
	execTimeout = 10 * time.Second
)

// NewClient returns a Nomad client whose connections are pooled and whose
// dialling is bounded. Its calls have no deadline of their own, since some of
// them wait on purpose: a context bounds each.
func NewClient(s Settings) (*nomadapi.Client, error) { return newClient(s, 0) }

// NewExecClient returns a client for Options.Exec: every call of it, and the
// handshake of every exec, is bounded, which the library offers no context for.
func NewExecClient(s Settings) (*nomadapi.Client, error) { return newClient(s, execTimeout) }

func newClient(s Settings, timeout time.Duration) (*nomadapi.Client, error) {
	// A plain *http.Transport: the library takes it apart to dial its
	// websockets, so a wrapped one would make every exec fail.
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConns:          2 * idlePerHost,
		MaxConnsPerHost:       connsPerHost,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	client := &http.Client{Transport: transport, Timeout: timeout}
	if err := nomadapi.ConfigureTLS(client, s.TLS); err != nil {
		return nil, fmt.Errorf("nomad client's TLS: %w", err)
	}
	c := nomadapi.DefaultConfig()
	if s.Address != "" {
		c.Address = s.Address
	}
	if s.Region != "" {
		c.Region = s.Region
	}
	if s.Token != "" {
		c.SecretID = s.Token
	}
	// The default config may carry NOMAD_NAMESPACE, which would confine every
	// call that names none to it.
	c.Namespace = ""
	c.HttpClient = client
	n, err := nomadapi.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("nomad client: %w", err)
	}
	return n, nil
}

// Options tune a Fleet; the zero value is ready for use.
type Options struct {
	// Exec is used by Exec alone; nil is the Fleet's own client, whose
	// handshakes nothing bounds. See NewExecClient.
	Exec *nomadapi.Client
	// Region is where List and Watch look; "" is the client's own. Indexes of
	// different regions cannot be compared: watch each with a Fleet of its own.
	Region string
	// Namespace is where List and Watch look; "" is all that the token may see.
	Namespace string
	// CallTimeout bounds each call that does not wait on purpose; 0 is 15 s.
	CallTimeout time.Duration
}

// Fleet is the sessions' side of one Nomad. It may be used concurrently, and
// holds no connection or goroutine that needs closing.
type Fleet struct {
	nomad     *nomadapi.Client
	execs     *nomadapi.Client
	opts      Options
	templates templateCache
	// pageSize and silence are constants but for the tests.
	pageSize int32
	silence  time.Duration
}

// New returns a Fleet on a client, preferably one from NewClient.
func New(client *nomadapi.Client, opts Options) *Fleet {
	if opts.Exec == nil {
		opts.Exec = client
	}
	if opts.Namespace == "" {
		opts.Namespace = nomadapi.AllNamespacesNamespace
	}
	if opts.CallTimeout == 0 {
		opts.CallTimeout = 15 * time.Second
	}
	return &Fleet{nomad: client, execs: opts.Exec, opts: opts, pageSize: defaultPageSize, silence: maxSilence}
}

// Open is NewClient, NewExecClient and New in one.
func Open(s Settings, opts Options) (*Fleet, error) {
	client, err := NewClient(s)
	if err != nil {
		return nil, err
	}
	if opts.Exec == nil {
		if opts.Exec, err = NewExecClient(s); err != nil {
			return nil, err
		}
	}
	return New(client, opts), nil
}

// Ping reports whether Nomad answers and has a leader; if not, the error is
// ErrUnavailable.
func (f *Fleet) Ping(ctx context.Context) error {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	var leader string
	if _, err := f.nomad.Raw().Query("/v1/status/leader", &leader, f.query(ctx, "", f.opts.Region)); err != nil {
		return unavailable("ask for its leader", err)
	}
	if leader == "" {
		return unavailable("ask for its leader", errors.New("it has none"))
	}
	return nil
}

// OwnRegion reports whether a region is the one that List and Watch look at: its
// leader is the same server. An error is ErrUnavailable; Nomad gives one also for a
// region that it does not know.
func (f *Fleet) OwnRegion(ctx context.Context, region string) (bool, error) {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	leaders := make([]string, 2)
	for i, r := range []string{f.opts.Region, region} {
		if _, err := f.nomad.Raw().Query("/v1/status/leader", &leaders[i], f.query(ctx, "", r)); err != nil {
			return false, unavailable("ask for the leader of region "+r, err)
		}
	}
	return leaders[0] == leaders[1], nil
}

func (f *Fleet) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.opts.CallTimeout)
}

// query gives fresh options for one read: the library writes into them.
func (f *Fleet) query(ctx context.Context, namespace, region string) *nomadapi.QueryOptions {
	return (&nomadapi.QueryOptions{Namespace: namespace, Region: region}).WithContext(ctx)
}

func (f *Fleet) write(ctx context.Context, namespace, region string) *nomadapi.WriteOptions {
	return (&nomadapi.WriteOptions{Namespace: namespace, Region: region}).WithContext(ctx)
}

// of gives fresh options for one read of a session's things.
func (f *Fleet) of(ctx context.Context, s staging.Session) *nomadapi.QueryOptions {
	return f.query(ctx, s.Namespace, s.Region)
}
