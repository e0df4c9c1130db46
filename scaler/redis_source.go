package scaler

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// errWiped: what Redis had is gone, or whether it is gone cannot be read.
var errWiped = errors.New("redis was wiped or restored to an older state, or could not be checked")

const (
	// eventBlock is how long one read of Redis's events waits for the first of them.
	eventBlock = time.Second
	// shortEventBlock is the same while Redis is not trusted in every zone: claims in
	// the others use Consul until then, which is slower.
	shortEventBlock = eventBlock / 10
)

// eventDebounce delays the reaction to Redis events, so that a burst of launches costs
// one decision. A claim's event arrives while its launch is still in progress: making a
// replacement takes up to seconds anyway, and should not compete with that launch.
const eventDebounce = 25 * time.Millisecond

// redisResync is one resync of Redis, and what must hold while its events are followed.
type redisResync struct {
	// number counts the resyncs since the start, from 1.
	number int
	// epoch, markers: as they were before the resync.
	epoch   string
	markers map[string]marker
	// position is that of the last event read.
	position string
}

// watchStore reads all of Redis's sessions, then follows the events from before that
// read, until they fail or the next resync is due.
func (s *Scaler) watchStore(ctx context.Context) {
	resyncs := 0
	s.retry(ctx, "redis", func(v *view) { v.storeKnown = false }, func() error {
		resyncs++
		r := &redisResync{number: resyncs}
		if err := s.readStore(ctx, r); err != nil {
			return err
		}
		return s.followStore(ctx, r)
	})
}

// readStore fills r and posts all of Redis's sessions.
func (s *Scaler) readStore(ctx context.Context, r *redisResync) (err error) {
	read, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := s.Installation.Verify(read); err != nil {
		return err
	}
	if r.epoch, err = s.TrustStore.Epoch(read); err != nil {
		return err
	}
	// The markers come before anything else is read, so that what is read is newer.
	r.markers = s.placeMarkers(read)
	if r.position, err = s.EventStore.LastEvent(read); err != nil {
		return err
	}
	usual, err := s.EventStore.Usual(read)
	if err != nil {
		return err
	}
	all, err := s.SessionStore.Sessions(read)
	if err != nil {
		return err
	}
	s.post(ctx, func(v *view) {
		v.takeUsual(usual)
		if v.resyncStore(all, time.Now()) && v.fleetReadOnce {
			s.requestFleetResync()
		}
		v.resync = r.number
	})
	return nil
}

// followStore posts Redis's events, and regularly checks Redis and renews the trust in
// it. It returns nil when the next resync is due.
func (s *Scaler) followStore(ctx context.Context, r *redisResync) error {
	var checked time.Time
	block := shortEventBlock
	for due := time.Now().Add(s.o.Resync); time.Now().Before(due); {
		events, position, err := s.EventStore.Events(ctx, r.position, block)
		if err != nil {
			return err
		}
		r.position = position
		if time.Since(checked) >= block {
			checked = time.Now()
			all, err := s.checkStore(ctx, r)
			switch {
			case errors.Is(err, errNoMarker):
				return nil
			case err != nil:
				return err
			case all:
				block = eventBlock
			default:
				block = shortEventBlock
			}
		}
		if len(events) > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(eventDebounce):
			}
			s.post(ctx, func(v *view) {
				for _, e := range events {
					v.applyEvent(e, time.Now())
				}
			})
		}
	}
	return nil
}

// checkStore checks that Redis has lost nothing since the resync, and renews the trust
// in it. all is true when Redis is trusted in every zone in which this scaler acts.
// errNoMarker means that a new resync is needed, and any other error that Redis has
// lost data.
func (s *Scaler) checkStore(ctx context.Context, r *redisResync) (all bool, err error) {
	epoch, err := s.TrustStore.Epoch(ctx)
	var last string
	if err == nil {
		last, err = s.EventStore.LastEvent(ctx)
	}
	if err != nil || epoch != r.epoch || earlier(last, r.position) {
		s.noteRedisLost(ctx)
		return false, errors.Join(errWiped, err)
	}
	all, err = s.renewTrust(ctx, r.number, r.markers)
	if err != nil && !errors.Is(err, errNoMarker) {
		s.noteRedisLost(ctx)
	}
	return all, err
}

// noteRedisLost notes that Redis was wiped or restored to an older state. The fates are
// read again, because they hold the assignments that Redis may have lost. The keepalive
// periods start again, because it may have lost keepalives.
func (s *Scaler) noteRedisLost(ctx context.Context) {
	s.requestFleetResync()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := s.TrustStore.RestartKeepalives(ctx); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		// Where Redis does not answer brokers either, the gap restarts the periods.
		s.Log.WithError(err).Warn("redis may have lost keepalives, and the keepalive periods could not be restarted")
	}
}

// earlier reports whether position a is before b in Redis's event stream. A position is
// milliseconds and a sequence number. The newest position moves backwards when Redis is
// restored to an older state.
func earlier(a, b string) bool {
	ams, aseq, _ := strings.Cut(a, "-")
	bms, bseq, _ := strings.Cut(b, "-")
	number := func(s string) uint64 {
		n, _ := strconv.ParseUint(s, 10, 64)
		return n
	}
	if number(ams) != number(bms) {
		return number(ams) < number(bms)
	}
	return number(aseq) < number(bseq)
}
