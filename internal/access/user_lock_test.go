package access

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// callers is an issuer whose tokens are known.
type callers map[string]Caller

func (c callers) Identify(_ context.Context, jwt string) (Caller, error) { return c[jwt], nil }

// TestALockedUserIsNobody with the issuer's tokens, of whatever role. Stored tokens and the
// broker's own stay as they are, and so do other users. While it is not known who is locked, the
// caller cannot be checked.
func TestALockedUserIsNobody(t *testing.T) {
	now := time.Now()
	token, secret := NewToken(TokenRequest{Name: "portal", Role: Launcher}, now)
	tokens := NewTokens([]Token{token}, 1, nil)
	locks := NewUserLocks(map[string]UserLock{
		LockKey("u"): {UserID: "u"},
		// A record that cannot be read locks its user, too.
		LockKey("damaged"): {Reason: "it cannot be read"},
	}, 1)
	g := Guard{
		On: true, Agent: Hash("the agent's token"), Tokens: func() *Tokens { return tokens }, UserLocks: func() *UserLocks { return locks },
		Issuer: callers{
			"a.user.x": {Role: User, Subject: "u"}, "an.admin.x": {Role: Admin, Subject: "u"}, "d.user.x": {Role: User, Subject: "damaged"},
			"b.user.x": {Role: User, Subject: "v"},
		},
	}
	for bearer, locked := range map[string]bool{
		"a.user.x": true, "an.admin.x": true, "d.user.x": true, "b.user.x": false, secret: false, "the agent's token": false,
	} {
		_, err := g.Identify(t.Context(), bearer, now)
		var out *LockedError
		if errors.As(err, &out) != locked || !locked && err != nil {
			t.Errorf("%s: %v", bearer, err)
		}
	}
	// A login with the provider, which no token is behind, is one of the user, too.
	g.Keys = func(context.Context) (staging.SigningKeys, error) {
		return staging.SigningKeys{{Key: []byte("shared")}}, nil
	}
	g.Provider = mapped{id: "one", Mapping: Mapping{User: "sub"}}
	for user, locked := range map[string]bool{"u": true, "v": false} {
		login, err := g.ProviderLogin(t.Context(), Claims{"sub": user}, now)
		if err != nil {
			t.Fatal(err)
		}
		var out *LockedError
		if _, err := g.IdentifyLogin(t.Context(), login, now); errors.As(err, &out) != locked || !locked && err != nil {
			t.Errorf("the login of %s: %v", user, err)
		}
		if _, err := g.ProviderCaller(Claims{"sub": user}); (FailureOf(err) == LoginLocked) != locked {
			t.Errorf("%s logs in: %v", user, err)
		}
	}
	locks = nil
	for bearer, known := range map[string]bool{"b.user.x": false, secret: true} {
		_, err := g.Identify(t.Context(), bearer, now)
		var away *UnavailableError
		if errors.As(err, &away) == known || !known && !away.Stored {
			t.Errorf("before the locks were read, %s: %v", bearer, err)
		}
	}
}
