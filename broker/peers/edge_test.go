package peers

import (
	"context"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// launcher notes what was launched, and gives a session, or as many as are asked for.
type launcher struct {
	httpapi.Launcher
	last   launch.Request
	refuse error
}

func (l *launcher) Launch(_ context.Context, r launch.Request) ([]launch.Result, error) {
	if l.last = r; l.refuse != nil {
		return nil, l.refuse
	}
	var all []launch.Result
	for range max(1, r.Count) {
		s := staging.Session{ID: staging.NewSessionID(), State: staging.Assigned, Origin: staging.Staged, Zone: r.Zone, Image: r.Image, User: &r.User, CreatedAt: time.Now()}
		all = append(all, launch.Result{Session: s, Token: "t"})
	}
	return all, nil
}

// auditor takes every record.
type auditor struct{ httpapi.Auditor }

func (auditor) Attempt(context.Context, string) error      { return nil }
func (auditor) Audit(context.Context, staging.Audit)       {}
func (auditor) Trace(context.Context, string, string, any) {}

// TestTheAPITakesWhatPeersSend: every field of a launch, the step and the time by which it must begin.
func TestTheAPITakesWhatPeersSend(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	l := &launcher{}
	s := httptest.NewServer(httpapi.New(httpapi.Broker{Launcher: l, Auditor: auditor{}}, httpapi.Options{Log: logrus.NewEntry(log)}))
	defer s.Close()
	p := newPeers(s.URL, counted{})
	for _, sent := range []staging.Launch{
		{
			Image: "demo", Zone: "west-1", User: staging.User{ID: "u", Name: "alice"}, Groups: []string{"staff"}, UserEnvironment: map[string]string{"A": "b"},
			SSHKeys: []string{"ssh-ed25519 AAAA me"}, URL: "https://example.org/", Environment: map[string]string{"C": "d"}, WaitForRoom: new(staging.Duration),
		},
		{Selector: "tier=gold", Zone: "west-1", User: staging.User{ID: "u"}, Count: 3, Together: true, WaitForRoom: new(staging.Duration)},
	} {
		r := launch.PeerRequest{Launch: sent, IdempotencyKey: "k", Only: staging.StepStaged, StartBy: time.Now().UTC().Add(time.Minute), Wait: 1234 * time.Millisecond}
		given, err := p.Launch(t.Context(), "west", r)
		if err != nil || len(given) != max(1, sent.Count) {
			t.Errorf("%+v: %v, %v", sent, given, err)
		}
		if diff := cmp.Diff(sent, l.last.Launch); diff != "" {
			t.Errorf("what arrives is not what was sent:\n%s", diff)
		}
		if l.last.Only != r.Only || !l.last.StartBy.Equal(r.StartBy) || l.last.IdempotencyKey != "k" || l.last.Wait != r.Wait {
			t.Errorf("%+v arrives as %+v", r, l.last)
		}
	}
	l.refuse = &refusal.Error{Kind: refusal.NoCapacity, Detail: "none", Attempts: []staging.Attempt{{Step: staging.StepStaged, Zone: "west-1", Outcome: staging.OutcomeEmpty, Reason: "none is ready"}}}
	_, err := p.Launch(t.Context(), "west", request())
	if refused, ok := err.(*launch.PeerRefusal); !ok || refused.Kind != refusal.NoCapacity || len(refused.Attempts) != 1 {
		t.Errorf("a refusal arrives as %v", err)
	}
}
