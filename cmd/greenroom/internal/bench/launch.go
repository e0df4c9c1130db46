package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/staging"
)

// The classes of a launch's outcome, besides the origins "staged" and "on_demand". The
// class of a problem document ends with its code.
const (
	// classNotUp: the session was not up when the wait was over.
	classNotUp = "not_up"
	// RefusedPrefix begins the class of a 503, which asks the caller to retry later;
	// errorPrefix that of every other problem.
	RefusedPrefix = "refused:"
	errorPrefix   = "error:"
	// classNoRetryAfter: a 503 without the header Retry-After.
	classNoRetryAfter = errorPrefix + "no_retry_after"
	// These had no answer of a broker.
	classTimeout     = errorPrefix + "timeout"
	classInterrupted = errorPrefix + "interrupted"
	classNoAnswer    = errorPrefix + "no_answer"
)

// given holds the sessions that launches got.
type given struct {
	mu sync.Mutex
	// by has the numbers of the launches, by session.
	by map[string][]int
	// unsure is set once a launch without an answer may have got a session.
	unsure bool
}

func (g *given) add(id string, n int) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[string][]int{}
	}
	g.by[id] = append(g.by[id], n)
	return len(g.by[id]) == 1
}

func (g *given) lost() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unsure = true
}

// sum returns the number of different sessions, and the sessions that more than one launch
// got.
func (g *given) sum() (distinct int, twice []duplicate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, by := range g.by {
		if len(by) > 1 {
			slices.Sort(by)
			twice = append(twice, duplicate{id, by})
		}
	}
	slices.SortFunc(twice, func(a, b duplicate) int { return cmp.Compare(a.Session, b.Session) })
	return len(g.by), twice
}

// launch is the loadgen.Request of a run. It ends with b.calls and not with its context
// argument, which ends at an interrupt.
func (b *bench) launch(_ context.Context, _, n int) (string, error) {
	ctx, cancel := context.WithTimeout(b.calls, b.wait+client.LaunchGrace)
	defer cancel()
	user := b.user(n)
	res, err := b.CreateSession(ctx, &httpapi.CreateSessionParams{Wait: b.wait.String(), IdempotencyKey: user.ID},
		staging.Launch{Image: b.image, Zone: b.zone, User: user}, b.editKey)
	if err != nil {
		err = b.Answered(nil, err)
		return b.failed(ctx, err), err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusMultipleChoices {
		return b.refused(ctx, res)
	}
	body, err := io.ReadAll(res.Body)
	var s launchedSession
	if err == nil {
		s, err = sessionIn(body)
	}
	if err != nil {
		err = fmt.Errorf("the answer of the broker at %s: %w", b.Address, err)
		return b.failed(ctx, err), err
	}
	if b.given.add(s.ID, n) {
		b.ends.after(s.ID)
	}
	if s.State != staging.Assigned {
		return classNotUp, fmt.Errorf("session %s was %s when the wait of %s was over", s.ID, s.State, b.wait)
	}
	return string(s.Origin), nil
}

// launchedSession is what is read of the answer to a launch. Decoding the whole answer would cost time on
// the machine that is measured.
type launchedSession struct {
	ID     string         `json:"id"`
	State  staging.State  `json:"state"`
	Origin staging.Origin `json:"origin"`
}

func sessionIn(body []byte) (s launchedSession, err error) {
	if err = json.Unmarshal(body, &s); err == nil && s.ID == "" {
		err = errors.New("it holds no session")
	}
	return s, err
}

// refused returns the class and the error of an answer without a session.
func (b *bench) refused(ctx context.Context, res *http.Response) (string, error) {
	r, err := httpapi.ParseCreateSessionResponse(res)
	err = b.Answered(r, err)
	class := b.failed(ctx, err)
	if strings.HasPrefix(class, RefusedPrefix) && res.Header.Get("Retry-After") == "" {
		class = classNoRetryAfter
	}
	return class, err
}

// editKey removes the idempotency key with --keys=false: the generated client would send
// an empty one.
func (b *bench) editKey(_ context.Context, r *http.Request) error {
	if !b.keys {
		r.Header.Del("Idempotency-Key")
	}
	return nil
}

// failed returns the class of a launch's error.
func (b *bench) failed(ctx context.Context, err error) string {
	var p *client.ProblemError
	if errors.As(err, &p) {
		if p.Status == http.StatusServiceUnavailable {
			return RefusedPrefix + p.Code
		}
		return errorPrefix + p.Code
	}
	// Without an answer, the launch may still have got a session.
	b.given.lost()
	switch {
	case b.calls.Err() != nil:
		return classInterrupted
	case ctx.Err() != nil:
		return classTimeout
	}
	return classNoAnswer
}
