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
	// Address is the URL of the HTTP API, for example http://127.0.0.1:4646; "" is
	// the client library's default, which reads NOMAD_ADDR.
	Address string
	// Region is the default region; "" is that of the server at Address.
	Region string
	// Token is an ACL token's secret id; "" for none.
	Token string
	// TLS is for https addresses; nil trusts the system's authorities.
	TLS *nomadapi.TLSConfig
}

const (
	dialTimeout = 5 * time.Second
	// idlePerHost lets a burst of registrations reuse connections. All calls go to
	// one agent, and Go's default keeps only two idle connections per host.
	idlePerHost = 64
	// connsPerHost stays below the 100 connections that Nomad accepts from one
	// address. The rest is for execs, which use connections of their own.
	connsPerHost = 64
	// execTimeout bounds the lookup of a node and the handshake of an exec. It does
	// not bound the command: an upgraded connection has left the HTTP client.
	execTimeout = 10 * time.Second
)

// NewClient returns a Nomad client with pooled connections and a bounded dial. Its
// calls have no timeout of their own, since blocking queries wait on purpose: pass
// each call a context.
func NewClient(s Settings) (*nomadapi.Client, error) { return newClient(s, 0) }

// NewExecClient returns a client for Options.Exec. A timeout bounds its calls and
// the handshake of its execs, because the library takes no context for the handshake.
func NewExecClient(s Settings) (*nomadapi.Client, error) { return newClient(s, execTimeout) }

func newClient(s Settings, timeout time.Duration) (*nomadapi.Client, error) {
	// This must be a plain *http.Transport: the library reads its fields to dial
	// websockets, and every exec would fail with a wrapped one.
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
		return nil, fmt.Errorf("nomad: configure TLS: %w", err)
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
	// The default config may hold NOMAD_NAMESPACE, which would apply to every call
	// that names no namespace.
	c.Namespace = ""
	c.HttpClient = client
	n, err := nomadapi.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("nomad: create client: %w", err)
	}
	return n, nil
}

// Options tune a Fleet; the zero value is ready for use.
type Options struct {
	// Exec is the client for Fleet.Exec, see NewExecClient. nil is the Fleet's own
	// client, whose handshakes have no timeout.
	Exec *nomadapi.Client
	// Region is the region of List and Watch; "" is the client's own. Indexes of
	// different regions cannot be compared, so each region needs its own Fleet.
	Region string
	// Namespace is the namespace of List and Watch; "" is all that the token may see.
	Namespace string
	// Installation returns the installation whose jobs the Fleet manages. Jobs of another
	// one are observed as foreign, and nothing acts on them. While it returns an error,
	// nothing is listed, registered or stopped. nil stands for the jobs of every
	// installation, for tools and tests.
	Installation func() (staging.Installation, error)
	// Names derives the names of the sessions' services; the zero value stands for
	// staging.DefaultNames.
	Names staging.Names
	// SpreadProperties returns the properties of nodes whose values List and Watch observe; nil
	// for none. It must return quickly.
	SpreadProperties func() []string
	// CallTimeout bounds each call that is not a blocking query; 0 is 15 s.
	CallTimeout time.Duration
}

// Fleet manages the jobs of sessions in one Nomad. It is safe for concurrent use and
// holds nothing that must be closed.
type Fleet struct {
	nomad      *nomadapi.Client
	execClient *nomadapi.Client
	opts       Options
	templates  templateCache
	values     nodeValues
	// Only tests change pageSize and streamTimeout.
	pageSize      int32
	streamTimeout time.Duration
}

// New returns a Fleet that uses client, preferably one from NewClient.
func New(client *nomadapi.Client, opts Options) *Fleet {
	if opts.Exec == nil {
		opts.Exec = client
	}
	if opts.Namespace == "" {
		opts.Namespace = nomadapi.AllNamespacesNamespace
	}
	if opts.Names == (staging.Names{}) {
		opts.Names = staging.DefaultNames
	}
	if opts.CallTimeout == 0 {
		opts.CallTimeout = 15 * time.Second
	}
	return &Fleet{nomad: client, execClient: opts.Exec, opts: opts, pageSize: defaultPageSize, streamTimeout: maxStreamSilence}
}

// Open calls NewClient, NewExecClient and New.
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

// Ping returns nil if Nomad answers and has a leader, else ErrUnavailable.
func (f *Fleet) Ping(ctx context.Context) error {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	var leader string
	if _, err := f.nomad.Raw().Query("/v1/status/leader", &leader, f.queryOptions(ctx, "", f.opts.Region)); err != nil {
		return unavailable("read the leader", err)
	}
	if leader == "" {
		return unavailable("read the leader", errors.New("the cluster has no leader"))
	}
	return nil
}

// OwnRegion reports whether region is the one of List and Watch, which is so if both
// have the same leader. Errors are ErrUnavailable, also for a region that Nomad does
// not know.
func (f *Fleet) OwnRegion(ctx context.Context, region string) (bool, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	leaders := make([]string, 2)
	for i, r := range []string{f.opts.Region, region} {
		if _, err := f.nomad.Raw().Query("/v1/status/leader", &leaders[i], f.queryOptions(ctx, "", r)); err != nil {
			return false, unavailable(fmt.Sprintf("read the leader of region %q", r), err)
		}
	}
	return leaders[0] == leaders[1], nil
}

func (f *Fleet) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.opts.CallTimeout)
}

// queryOptions returns new options for one read, because the library writes to them.
func (f *Fleet) queryOptions(ctx context.Context, namespace, region string) *nomadapi.QueryOptions {
	return (&nomadapi.QueryOptions{Namespace: namespace, Region: region}).WithContext(ctx)
}

func (f *Fleet) writeOptions(ctx context.Context, namespace, region string) *nomadapi.WriteOptions {
	return (&nomadapi.WriteOptions{Namespace: namespace, Region: region}).WithContext(ctx)
}

// sessionQuery returns new options for one read in the session's namespace and region.
func (f *Fleet) sessionQuery(ctx context.Context, s staging.Session) *nomadapi.QueryOptions {
	return f.queryOptions(ctx, s.Namespace, s.Region)
}
