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

// The classes of outcome of a launch, besides the sessions' origins, "staged" and
// "on_demand". Those of problem documents end with their code.
const (
	// classNotUp is of a session that was not up when the wait was over.
	classNotUp = "not_up"
	// refusedPrefix is of a 503, which says to come back later; errorPrefix of
	// every other problem.
	RefusedPrefix = "refused:"
	errorPrefix   = "error:"
	// classNoRetryAfter is of a 503 that does not say when to come back.
	classNoRetryAfter = errorPrefix + "no_retry_after"
	// The others had no answer of a broker.
	classTimeout     = errorPrefix + "timeout"
	classInterrupted = errorPrefix + "interrupted"
	classNoAnswer    = errorPrefix + "no_answer"
)

// given are the sessions that launches were given.
type given struct {
	mu sync.Mutex
	// by are the numbers of the launches, by session.
	by map[string][]int
	// unsure is set by a launch that may have been given one without hearing of it.
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

// sum is how many different sessions were given, and those that more than one
// launch was given.
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

// launch is the loadgen.Request of a run. It does not end with the context that it
// is given, which ends when the command is told to stop, but with b.calls.
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
	// Decoding all of the answer would cost this process what it is to measure.
	var s struct {
		ID     string         `json:"id"`
		State  staging.State  `json:"state"`
		Origin staging.Origin `json:"origin"`
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err == nil && s.ID == "" {
		err = errors.New("it has no session in it")
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

// refused is the outcome of an answer that gives no session.
func (b *bench) refused(ctx context.Context, res *http.Response) (string, error) {
	r, err := httpapi.ParseCreateSessionResponse(res)
	err = b.Answered(r, err)
	class := b.failed(ctx, err)
	if strings.HasPrefix(class, RefusedPrefix) && res.Header.Get("Retry-After") == "" {
		class = classNoRetryAfter
	}
	return class, err
}

// editKey takes the key away where none is wanted: the generated client sends an
// empty one.
func (b *bench) editKey(_ context.Context, r *http.Request) error {
	if !b.keys {
		r.Header.Del("Idempotency-Key")
	}
	return nil
}

// failed is the class of a launch's error.
func (b *bench) failed(ctx context.Context, err error) string {
	var p *client.ProblemError
	if errors.As(err, &p) {
		if p.Status == http.StatusServiceUnavailable {
			return RefusedPrefix + p.Code
		}
		return errorPrefix + p.Code
	}
	// It may have been begun all the same.
	b.given.lost()
	switch {
	case b.calls.Err() != nil:
		return classInterrupted
	case ctx.Err() != nil:
		return classTimeout
	}
	return classNoAnswer
}
