package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/logfield"
)

const (
	// probeEvery is the time between two probes of a peer, and probeTimeout how long one may take.
	probeEvery   = time.Second
	probeTimeout = 2 * time.Second
	// failedProbes is how many probes must fail in a row, so that a pause of a busy peer does not
	// cost the launches that are at it.
	failedProbes = 2
	// dialTimeout bounds a connection attempt, after which a launch goes on to its next zone.
	dialTimeout = 2 * time.Second
	// atOnce bounds the calls to one peer, so that one that is slow does not hold all the
	// launches that a broker serves at once.
	atOnce = 128
)

// Peer is the greenroom of another region, as it is configured.
type Peer struct {
	Name string
	// Address is the URL of its broker's API.
	Address string
	// Token is a token there, with the role launcher; "" for none.
	Token string
	// TLS is for https.
	TLS *tls.Config
}

// Meter counts calls to peers.
type Meter interface {
	// Crossed counts a launch that was sent to a peer, by its outcome.
	Crossed(peer string, outcome Outcome)
}

// Outcome is the outcome of a launch that was sent to a peer.
type Outcome string

// The outcomes.
const (
	Served  Outcome = "served"
	Refused Outcome = "refused"
	// Unreached: it was not sent.
	Unreached Outcome = "unreached"
	// Unknown: it was sent, and not answered.
	Unknown Outcome = "unknown"
)

// Outcomes lists all outcomes.
var Outcomes = []Outcome{Served, Refused, Unreached, Unknown}

// Peers calls peers. It may be used concurrently.
type Peers struct {
	all   map[string]*peer
	meter Meter
	log   *logrus.Entry
}

// New returns the peers. Run finds out which of them answer; until then all count as such.
func New(of []Peer, meter Meter, log *logrus.Entry) *Peers {
	p := &Peers{all: map[string]*peer{}, meter: meter, log: log}
	for _, c := range of {
		p.all[c.Name] = newPeer(c)
	}
	return p
}

// Names returns the names of the peers, sorted.
func (p *Peers) Names() []string {
	names := make([]string, 0, len(p.all))
	for name := range p.all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Address returns the address of a peer; "" for one that is not configured.
func (p *Peers) Address(name string) string {
	if at, ok := p.all[name]; ok {
		return at.Peer.Address
	}
	return ""
}

// Reachable implements launch.Peers.
func (p *Peers) Reachable(name string) error {
	at, ok := p.all[name]
	if !ok {
		return errors.New("it is not in this broker's configuration")
	}
	return at.problem()
}

// States returns how the peers are, by name.
func (p *Peers) States() []status.Peer {
	var all []status.Peer
	for _, name := range p.Names() {
		s := status.Peer{Name: name, Address: p.all[name].Peer.Address}
		if err := p.all[name].problem(); err != nil {
			s.Problem = err.Error()
		}
		all = append(all, s)
	}
	return all
}

// Run probes the peers until ctx is done, and closes idle connections to them then.
func (p *Peers) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, at := range p.all {
		wg.Go(func() {
			at.probe(ctx, p.log.WithField(logfield.Peer, at.Name))
			at.client.CloseIdleConnections()
		})
	}
	wg.Wait()
}

// peer is one peer, with what is known of it.
type peer struct {
	Peer
	client *http.Client
	// running holds a place for each call.
	running chan struct{}
	mu      sync.Mutex
	// away is why it does not answer; nil while it does.
	away error
	// up is done when it is found not to answer, and a new one once it does again.
	up   context.Context
	down context.CancelCauseFunc
}

func newPeer(c Peer) *peer {
	c.Address = strings.TrimRight(c.Address, "/")
	at := &peer{Peer: c, running: make(chan struct{}, atOnce), client: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
		},
		// The token is for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	at.up, at.down = context.WithCancelCause(context.Background())
	return at
}

// problem returns why the peer does not answer; nil while it does.
func (at *peer) problem() error {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.away
}

// errAway: probes are not answered. Their errors, which name addresses, are in the log.
var errAway = errors.New("it does not answer")

// set records whether the peer answers, and reports whether that has changed. The calls that are at a peer that
// is found not to answer end.
func (at *peer) set(away error) (changed bool) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if (at.away == nil) == (away == nil) {
		return false
	}
	if at.away = away; away != nil {
		at.down(away)
	} else {
		at.up, at.down = context.WithCancelCause(context.Background())
	}
	return true
}

// whileUp returns a context that is also done when the peer is found not to answer.
func (at *peer) whileUp(ctx context.Context) (context.Context, context.CancelFunc) {
	at.mu.Lock()
	up := at.up
	at.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(up, func() { cancel(context.Cause(up)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// probe asks the peer again and again whether it answers, until ctx is done.
func (at *peer) probe(ctx context.Context, log *logrus.Entry) {
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	failed := 0
	for {
		err := at.ping(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if failed = 0; at.set(nil) {
				log.Info("the peer answers again")
			}
		default:
			if failed++; failed >= failedProbes && at.set(errAway) {
				at.client.CloseIdleConnections() // the next ones are to the broker that answers then
				log.WithError(err).Warn("the peer does not answer; launches do not cross to it until it does")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// ping asks whether the peer's broker serves.
func (at *peer) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Peer.Address+"/v1/health/live", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := at.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers with status %d", answer.StatusCode)
	}
	return nil
}

// authorize adds the peer's token to a request.
func (at *peer) authorize(r *http.Request) {
	if at.Token != "" {
		r.Header.Set("Authorization", "Bearer "+at.Token)
	}
}
