package registry

import (
	"context"
	"errors"
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
		return ok && found == token
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
	if gone != token {
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
