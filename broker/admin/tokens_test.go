package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/audit"
	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// tokenTable is a token store in memory.
type tokenTable struct {
	admin.TokenStore
	mu     sync.Mutex
	tokens map[string]access.Token
	uses   map[string]time.Time
	// closed: Bootstrap was called before.
	closed bool
	// noted receives the accessor of each use before it is recorded, and away its failure.
	noted chan string
	away  chan error
}

func (s *tokenTable) CreateToken(_ context.Context, t access.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Accessor] = t
	return nil
}

func (s *tokenTable) Bootstrap(ctx context.Context, t access.Token) (bool, error) {
	if s.closed {
		return false, nil
	}
	return true, s.CreateToken(ctx, t)
}

func (*tokenTable) BootstrapKey() string { return "greenroom/bootstrap" }

func (s *tokenTable) ChangeToken(ctx context.Context, accessor string, change func(access.Token) (access.Token, error)) (before, after access.Token, err error) {
	s.mu.Lock()
	before, ok := s.tokens[accessor]
	s.mu.Unlock()
	if !ok {
		return before, after, fmt.Errorf("%w: token %s", staging.ErrNoResource, accessor)
	}
	if after, err = change(before); err != nil {
		return before, before, err
	}
	return before, after, s.CreateToken(ctx, after)
}

func (s *tokenTable) NoteTokenUse(_ context.Context, accessor string, at time.Time) error {
	s.noted <- accessor
	if err := <-s.away; err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses[accessor] = at
	return nil
}

// tokensOn returns the administration of tokens on a store, with the records of its changes.
func tokensOn(s *tokenTable, work *background.Group, maxLife time.Duration) (*admin.Tokens, *records) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := &records{}
	auditor := audit.New(r, work, logrus.NewEntry(log), false)
	return admin.New(admin.Servers{Registry: newMemory(), Tokens: s, Fleet: nomad{}, Names: staging.DefaultNames}, numbers{}, nil, auditor, work,
		admin.Options{MaxTokenLife: maxLife}).Tokens, r
}

// TestMaxTokenLifeBoundsEveryNewSecret: a longer life is refused, and none asked for is the
// bound. Tokens of before stay.
func TestMaxTokenLifeBoundsEveryNewSecret(t *testing.T) {
	const most = 24 * time.Hour
	forever, _ := access.NewToken(access.TokenRequest{Name: "old", Role: access.Viewer}, time.Now().Add(-time.Hour))
	s := &tokenTable{tokens: map[string]access.Token{forever.Accessor: forever}}
	tokens, _ := tokensOn(s, background.New(1), most)
	make := func(expires time.Duration) (access.Token, error) {
		made, _, err := tokens.Create(t.Context(), access.TokenRequest{Name: "n", Role: access.Viewer, ExpiresIn: staging.Duration(expires)})
		return made, err
	}
	_, err := make(most + time.Second)
	if invalid, ok := errors.AsType[*staging.InvalidError](err); !ok || invalid.Fields[0].Field != "expires_in" || !strings.Contains(invalid.Fields[0].Message, "24h") {
		t.Errorf("longer than the bound: %v", err)
	}
	for asked, want := range map[time.Duration]time.Duration{0: most, most: most, time.Hour: time.Hour} {
		if made, err := make(asked); err != nil || made.ExpiresAt.Sub(made.CreatedAt) != want {
			t.Errorf("asked for %s: %+v, %v", asked, made, err)
		}
	}
	if first, _, err := tokens.Bootstrap(t.Context()); err != nil || first.ExpiresAt.Sub(first.CreatedAt) != most {
		t.Errorf("the first: %+v, %v", first, err)
	}
	if !s.tokens[forever.Accessor].ExpiresAt.IsZero() {
		t.Error("a token of before has an end now")
	}
	if rotated, _, err := tokens.Rotate(t.Context(), forever.Accessor, access.Rotation{Overlap: time.Hour}); err != nil || rotated.ExpiresAt.Sub(rotated.RotatedAt) != most {
		t.Errorf("rotated: %+v, %v", rotated, err)
	}
	unbounded, _ := tokensOn(s, background.New(1), 0)
	if made, _, err := unbounded.Create(t.Context(), access.TokenRequest{Name: "n", Role: access.Viewer}); err != nil || !made.ExpiresAt.IsZero() {
		t.Errorf("without a bound: %+v, %v", made, err)
	}
}

// TestASecondBootstrapClaimsNoToken: it cannot know whether one is left, and says how to go on
// in both cases.
func TestASecondBootstrapClaimsNoToken(t *testing.T) {
	tokens, _ := tokensOn(&tokenTable{tokens: map[string]access.Token{}, closed: true}, background.New(1), 0)
	_, _, err := tokens.Bootstrap(t.Context())
	refused, ok := errors.AsType[*refusal.Error](err)
	if !ok || refused.Kind != refusal.Bootstrapped {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"was made before", "greenroom token create", "all are revoked", "consul kv delete greenroom/bootstrap"} {
		if !strings.Contains(refused.Detail, want) {
			t.Errorf("%q lacks %q", refused.Detail, want)
		}
	}
	if strings.Contains(refused.Detail, "there are tokens") {
		t.Errorf("%q: there may be none", refused.Detail)
	}
}

// TestARotationIsAudited without secrets and their hashes. What is refused changes nothing.
func TestARotationIsAudited(t *testing.T) {
	token, _ := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher, Scope: access.Scope{Zones: []string{"east"}}}, time.Now())
	s := &tokenTable{tokens: map[string]access.Token{token.Accessor: token}}
	tokens, r := tokensOn(s, background.New(1), 0)
	if _, _, err := tokens.Rotate(t.Context(), token.Accessor, access.Rotation{Overlap: -1}); err == nil || s.tokens[token.Accessor].Hash != token.Hash {
		t.Errorf("a rotation that is not valid: %v", err)
	}
	_, _, err := tokens.Rotate(t.Context(), "tk-none", access.Rotation{})
	if refused, ok := errors.AsType[*refusal.Error](err); !ok || refused.Kind != refusal.NotFound || len(*r) != 0 {
		t.Errorf("a token that does not exist: %v, audited %+v", err, *r)
	}
	rotated, secret, err := tokens.Rotate(t.Context(), token.Accessor, access.Rotation{Overlap: time.Hour})
	if err != nil || access.Hash(secret) != s.tokens[token.Accessor].Hash {
		t.Fatal(err)
	}
	if len(*r) != 1 || (*r)[0].Target != "token "+token.Accessor || !strings.Contains((*r)[0].After, "rotated_at") || !strings.Contains((*r)[0].After, `"scope":{"zones":["east"]}`) {
		t.Fatalf("audited: %+v", *r)
	}
	for _, hidden := range []string{secret, token.Hash, rotated.Hash} {
		if strings.Contains((*r)[0].Before+(*r)[0].After, hidden) {
			t.Errorf("the record has a secret or its hash: %+v", (*r)[0])
		}
	}
}

// TestUsesOfTokensNeverSlowACall: while Consul does not answer, they wait, the newest of each
// token, up to a bound; once it does, the next use has them recorded.
func TestUsesOfTokensNeverSlowACall(t *testing.T) {
	s := &tokenTable{uses: map[string]time.Time{}, noted: make(chan string), away: make(chan error)}
	work := background.New(2)
	tokens, _ := tokensOn(s, work, 0)
	begun := time.Now()
	tokens.Used("tk-0", begun)
	<-s.noted // Consul has it, and does not answer
	for n := range 3 * 4096 {
		tokens.Used(fmt.Sprint("tk-", n%5000), begun.Add(time.Duration(n)*time.Second))
	}
	s.away <- errors.New("no answer")
	work.Wait()
	if len(s.uses) != 0 {
		t.Errorf("recorded are %v", s.uses)
	}
	tokens.Used("tk-1", begun.Add(time.Hour))
	go func() {
		for range s.noted {
			s.away <- nil
		}
	}()
	work.Wait()
	close(s.noted)
	if n := len(s.uses); n < 4096 || n > 4098 {
		t.Errorf("%d uses were recorded", n)
	}
	if !s.uses["tk-1"].Equal(begun.Add(time.Hour)) || !s.uses["tk-0"].After(begun) {
		t.Errorf("not the newest uses: %s, %s, begun %s", s.uses["tk-0"], s.uses["tk-1"], begun)
	}
}
