package registry

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestBootstrapIsDoneOnce, however many brokers try at the same time. After its key was
// deleted it is done once more, and existing tokens stay.
func TestBootstrapIsDoneOnce(t *testing.T) {
	const brokers = 16
	r, client := newRegistry(t)
	once := func() (accessors []string) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range brokers {
			own := New(client, t.Name()+"/")
			wg.Go(func() {
				token, _ := access.NewToken(access.TokenRequest{Name: "first", Role: access.Admin}, time.Now())
				made, err := own.Bootstrap(t.Context(), token)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if made {
					accessors = append(accessors, token.Accessor)
				}
			})
		}
		wg.Wait()
		return accessors
	}
	for round := range 2 {
		if made := once(); len(made) != 1 {
			t.Fatalf("it was done %d times: %v", len(made), made)
		}
		tokens, err := r.RefreshTokens(t.Context())
		must(t, err)
		if n := len(tokens.All()); n != round+1 {
			t.Errorf("%d tokens after %d bootstraps", n, round+1)
		}
		_, err = client.KV().Delete(r.BootstrapKey(), nil)
		must(t, err)
	}
}

// TestWhereThereAreTokensThereIsAnAdministrator: then Bootstrap does nothing.
func TestWhereThereAreTokensThereIsAnAdministrator(t *testing.T) {
	r, _ := newRegistry(t)
	token, _ := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	must(t, r.CreateToken(t.Context(), token))
	first, _ := access.NewToken(access.TokenRequest{Name: "first", Role: access.Admin}, time.Now())
	if made, err := r.Bootstrap(t.Context(), first); err != nil || made {
		t.Errorf("made %v, %v", made, err)
	}
}

// TestTokensAreFollowed: a token that one broker creates or revokes is created or revoked
// for another broker a moment later. The stored record does not have its secret.
func TestTokensAreFollowed(t *testing.T) {
	r, client := newRegistry(t)
	other := New(client, t.Name()+"/")
	if other.Tokens() != nil {
		t.Error("tokens before they were read: who calls would be called a stranger")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = other.WatchTokens(ctx) }()
	defer func() { stop(); <-done }()

	token, secret := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher, Rate: 2}, time.Now())
	must(t, r.CreateToken(t.Context(), token))
	until(t, func() bool {
		if other.Tokens() == nil {
			return false
		}
		found, ok := other.Tokens().Find(secret)
		return ok && reflect.DeepEqual(found, token)
	})
	pairs, _, err := client.KV().List(t.Name()+"/", nil)
	must(t, err)
	for _, p := range pairs {
		if strings.Contains(string(p.Value), secret) {
			t.Errorf("%s has the secret", p.Key)
		}
	}
	gone, err := r.RevokeToken(t.Context(), token.Accessor)
	must(t, err)
	if !reflect.DeepEqual(gone, token) {
		t.Errorf("revoked %+v, want %+v", gone, token)
	}
	if _, ok := r.Tokens().Find(secret); ok {
		t.Error("it works on where it was revoked")
	}
	until(t, func() bool { _, ok := other.Tokens().Find(secret); return !ok })
	if _, err := r.RevokeToken(t.Context(), token.Accessor); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("revoked twice: %v", err)
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 seconds")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestChangesOfATokenThatComeTogetherAreAllMade: none overwrites another.
func TestChangesOfATokenThatComeTogetherAreAllMade(t *testing.T) {
	const brokers = 8
	r, client := newRegistry(t)
	token, _ := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher, Scope: access.Scope{Zones: []string{"east"}, UserPrefix: "acme-"}}, time.Now())
	must(t, r.CreateToken(t.Context(), token))
	var wg sync.WaitGroup
	for range brokers {
		own := New(client, t.Name()+"/")
		wg.Go(func() {
			_, _, err := own.ChangeToken(t.Context(), token.Accessor, func(old access.Token) (access.Token, error) {
				old.Rate++
				return old, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	read, err := r.RefreshTokens(t.Context())
	must(t, err)
	token.Rate = brokers
	if all := read.All(); len(all) != 1 || !reflect.DeepEqual(all[0], token) {
		t.Errorf("%+v, want %+v", all, token)
	}
	refused := errors.New("refused")
	if _, _, err := r.ChangeToken(t.Context(), token.Accessor, func(old access.Token) (access.Token, error) { return access.Token{}, refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, _, err := r.ChangeToken(t.Context(), "tk-none", nil); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("a token that does not exist: %v", err)
	}
}

// TestUsesOfTokens: the latest counts, whichever broker records it, and none is left of a token
// that was revoked.
func TestUsesOfTokens(t *testing.T) {
	r, client := newRegistry(t)
	other := New(client, t.Name()+"/")
	token, _ := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	must(t, r.CreateToken(t.Context(), token))
	at := time.Now().UTC().Truncate(time.Second)
	last := func() time.Time {
		t.Helper()
		uses, err := r.TokenUses(t.Context())
		must(t, err)
		return uses[token.Accessor]
	}
	if !last().IsZero() {
		t.Errorf("never used, and last at %s", last())
	}
	for _, use := range []struct {
		by       *Registry
		at, want time.Time
	}{{r, at, at}, {other, at.Add(time.Minute), at.Add(time.Minute)}, {r, at.Add(time.Second), at.Add(time.Minute)}} {
		must(t, use.by.NoteTokenUse(t.Context(), token.Accessor, use.at))
		if !last().Equal(use.want) {
			t.Errorf("last used at %s, want %s", last(), use.want)
		}
	}
	_, err := r.RevokeToken(t.Context(), token.Accessor)
	must(t, err)
	must(t, other.NoteTokenUse(t.Context(), token.Accessor, at.Add(time.Hour)))
	if uses, err := r.TokenUses(t.Context()); err != nil || len(uses) != 0 {
		t.Errorf("uses of a token that was revoked: %v, %v", uses, err)
	}
}
