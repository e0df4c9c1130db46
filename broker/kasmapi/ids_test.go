package kasmapi

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestIDsLeadBack: of every name to an id and back, in the same way at every broker.
func TestIDsLeadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9._@-]{1,22}`).Draw(t, "name")
		k := kind(rapid.IntRange(0, 3).Draw(t, "kind"))
		id := k.id(name)
		if got, known, ours := k.nameIn(id); got != name || !known || !ours {
			t.Fatalf("%s %q has the id %s, which is %q (%t, %t)", k, name, id, got, known, ours)
		}
		for _, text := range []string{id.String(), strings.ReplaceAll(id.String(), "-", ""), strings.ToUpper(id.String())} {
			if got, ok := parseUUID(text); !ok || got != id {
				t.Fatalf("%s is read as %s", text, got)
			}
		}
		other := (k + 1) % 4
		if _, _, ours := other.nameIn(id); ours {
			t.Fatalf("%s of %s %q is taken for that of a %s", id, k, name, other)
		}
	})
}

// TestIDsOfLongNamesAreDigests, which are told apart, and are found by looking.
func TestIDsOfLongNamesAreDigests(t *testing.T) {
	seen := map[uuid]string{}
	for _, name := range []string{strings.Repeat("x", 23), strings.Repeat("x", 24), "Alice", "zoë", "a b", "", "0f3a9c51-d2e8-8b77-860a-aaaaaaaaaaaa"} {
		id := userKind.id(name)
		if other, taken := seen[id]; taken {
			t.Errorf("%q and %q have one id", name, other)
		}
		seen[id] = name
		if got, known, ours := userKind.nameIn(id); known || !ours {
			t.Errorf("%q has the id %s, which is %q (%t, %t)", name, id, got, known, ours)
		}
	}
}

// TestIDsAreStable: clients keep them, so that these never change.
func TestIDsAreStable(t *testing.T) {
	for got, want := range map[string]string{
		imageKind.id("demo").String():                           "00000000-0000-8000-8000-000000040957",
		zoneKind.id("demo").String():                            "40000000-0000-8000-8000-000000040957",
		userID("test_user1@example.com").String():               "c443a3d4-5a35-8432-80b9-a98856868125",
		userID("a-rather-long-name@example.com").String():       "e6273a1f-a5b0-8ec6-965e-ee9d054347bf",
		userID("50faa543-9c57-4b51-8cd8-68dac9256e4b").String(): "50faa543-9c57-4b51-8cd8-68dac9256e4b",
	} {
		if got != want {
			t.Errorf("the id is %s, want %s", got, want)
		}
	}
}

// TestEverySessionHasAnID that leads back to it.
func TestEverySessionHasAnID(t *testing.T) {
	for range 100 {
		session := staging.NewSessionID()
		id, ok := sessionID(session)
		if !ok || id.session() != session {
			t.Fatalf("%s has the id %s, which is %s", session, id, id.session())
		}
	}
	for _, foreign := range []string{"gr-1", "gr-", "", "01jd0c8m4q2v5n7x9z3b6f8h1k", "gr-01JD0C8M4Q2V5N7X9Z3B6F8H1K", "gr-01jd0c8m4q2v5n7x9z3b6f8h1u", "gr-81jd0c8m4q2v5n7x9z3b6f8h1k"} {
		if id, ok := sessionID(foreign); ok {
			t.Errorf("%q has the id %s", foreign, id)
		}
	}
}

// FuzzUUID: whatever is sent for an id is refused, or is one id however it is written.
func FuzzUUID(f *testing.F) {
	for _, text := range []string{"", "0", "50faa5439c574b518cd868dac9256e4b", "50faa543-9c57-4b51-8cd8-68dac9256e4b", strings.Repeat("-", 36), strings.Repeat("g", 32), "ffffffff-ffff-8fff-bfff-ffffffffffff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, ok := parseUUID(text)
		if !ok {
			return
		}
		if again, ok := parseUUID(u.String()); !ok || again != u {
			t.Errorf("%q is %s, which is read as %s", text, u, again)
		}
		if user, known, _ := userIn(u); known && userID(user) != u {
			t.Errorf("%s is of user %q, whose id is %s", u, user, userID(user))
		}
		for k := imageKind; k <= userKind; k++ {
			if name, known, _ := k.nameIn(u); known && k.id(name) != u {
				t.Errorf("%s is of %s %q, whose id is %s", u, k, name, k.id(name))
			}
		}
	})
}
