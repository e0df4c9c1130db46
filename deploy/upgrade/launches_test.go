package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
)

// launches are users who launch one after another, each a session, while the releases change.
type launches struct {
	mu sync.Mutex
	// brokers are asked in turn. One that is about to stop, or does not listen, is asked no more,
	// as a load balancer would do.
	brokers []agenttest.API
	turn    int
	// sessions are the users', by the user, and by whom each was launched.
	sessions, by map[string]string
	// refused counts the answers that told a caller to come again.
	refused  int
	failures []string

	stop chan struct{}
	wg   sync.WaitGroup
}

const (
	// launchers launch at a time, each with a pause after each launch.
	launchers   = 2
	launchPause = 400 * time.Millisecond
	// tries is how often one launch may be told to come again.
	tries = 40
)

// launching starts the launches at a broker. They end with the test at the latest.
func launching(t *testing.T, image string, first agenttest.API) *launches {
	l := &launches{brokers: []agenttest.API{first}, sessions: map[string]string{}, by: map[string]string{}, stop: make(chan struct{})}
	for n := range launchers {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				l.launch(image, fmt.Sprintf("u-%d-%d", n, i))
				select {
				case <-l.stop:
					return
				case <-time.After(launchPause):
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// end ends the launches and waits for the last.
func (l *launches) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

// at makes further launches ask these brokers alone.
func (l *launches) at(brokers ...agenttest.API) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.brokers = brokers
}

func (l *launches) next() (agenttest.API, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.brokers) == 0 {
		return agenttest.API{}, false
	}
	l.turn++
	return l.brokers[l.turn%len(l.brokers)], true
}

// drop asks a broker no more.
func (l *launches) drop(b agenttest.API) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
	var left []agenttest.API
	for _, other := range l.brokers {
		if other.URL != b.URL {
			left = append(left, other)
		}
	}
	l.brokers = left
}

// body is the launch of a user. Its Idempotency-Key is the user's id.
func body(image, user string) string {
	return fmt.Sprintf(`{"image":%q,"zone":"east","user":{"id":%q,"name":"someone"}}`, image, user)
}

// launch launches for a user until it is served, or refused without being told to come again.
func (l *launches) launch(image, user string) {
	for range tries {
		b, ok := l.next()
		if !ok {
			l.failed("user %s: no broker is left", user)
			return
		}
		r, err := b.Call("POST", "/v1/sessions", body(image, user), "Idempotency-Key", user)
		var served, problem struct{ ID, Code string }
		switch {
		case closed(err):
			l.drop(b)
			continue
		case err != nil:
			l.failed("user %s: %v", user, err)
			return
		case r.Status == 503 && r.Header.Get("Retry-After") != "":
			if _ = json.Unmarshal(r.Body, &problem); problem.Code == "stopping" {
				l.drop(b)
				continue
			}
			l.again()
			time.Sleep(launchPause) // as it was told
			continue
		// 202: the session is the user's, and was still starting when the broker was told to stop.
		case r.Status != 201 && r.Status != 202:
			l.failed("user %s: %d %s", user, r.Status, r.Body)
			return
		}
		if err := json.Unmarshal(r.Body, &served); err != nil || served.ID == "" {
			l.failed("user %s: %s: %v", user, r.Body, err)
			return
		}
		l.served(user, served.ID, b.URL)
		return
	}
	l.failed("user %s: told %d times to come again", user, tries)
}

// closed reports whether a broker no longer listens, or closed the connection as it ended. The
// Idempotency-Key makes it safe to repeat the launch elsewhere.
func closed(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && (failed.Op == "dial" || errors.Is(err, syscall.ECONNRESET))
}

func (l *launches) served(user, session, by string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[user], l.by[user] = session, by
}

func (l *launches) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}

func (l *launches) failed(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, fmt.Sprintf(format, args...))
}

// of returns the users whom a broker has served.
func (l *launches) of(b agenttest.API) (users []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for user, by := range l.by {
		if by == b.URL {
			users = append(users, user)
		}
	}
	return users
}

// served waits until each of the brokers has served some more users.
func (l *launches) more(t *testing.T, brokers ...agenttest.API) {
	t.Helper()
	for _, b := range brokers {
		before := len(l.of(b))
		agenttest.Until(t, "more users are served by "+b.URL, func() (bool, string) {
			return len(l.of(b)) >= before+3, fmt.Sprint(l.of(b))
		})
	}
}
