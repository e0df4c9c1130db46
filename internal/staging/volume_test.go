package staging

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAUsersIDIsOneElementOfAPathAndUnique, whatever is in it.
func TestAUsersIDIsOneElementOfAPathAndUnique(t *testing.T) {
	for id, want := range map[string]string{
		"u-1": "u-1", "ann@example.org": "ann@example.org", "auth0|5f": "auth0%7C5f", "..": "%2E.", "../root": "%2E.%2Froot",
		"a/b": "a%2Fb", "a:ro": "a%3Aro", ".ssh": "%2Essh", "ü": "%C3%BC", "%2E.": "%252E.", "a~b": "a%7Eb",
	} {
		if got := pathElement(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	ids := rapid.OneOf(rapid.String(), rapid.StringMatching(`[./%~:a]{1,6}`), rapid.StringN(150, 400, -1))
	rapid.Check(t, func(t *rapid.T) {
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		x, y := pathElement(a), pathElement(b)
		if a != b && x == y {
			t.Fatalf("%q and %q are both %q", a, b, x)
		}
		if a != "" && (path.Base(x) != x || path.Clean("/srv/"+x) != "/srv/"+x || strings.ContainsAny(x, ":{}") || len(x) > maxElement || x[0] == '.') {
			t.Fatalf("%q is %q in a path", a, x)
		}
	})
}
