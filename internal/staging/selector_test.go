package staging_test

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestSelectorsChooseAsKubernetesHasIt.
func TestSelectorsChooseAsKubernetesHasIt(t *testing.T) {
	labels := map[string]string{"tier": "gold", "example.org/team": "a.b_c", "empty": ""}
	for selector, want := range map[string]bool{
		"tier=gold":                         true,
		"tier==gold":                        true,
		" tier = gold ":                     true,
		"tier=silver":                       false,
		"tier!=gold":                        false,
		"tier!=silver":                      true,
		"other!=gold":                       true, // no such key
		"tier in (gold)":                    true,
		"tier in (silver, gold)":            true,
		"tier in(silver,bronze)":            false,
		"other in (gold)":                   false,
		"tier notin (gold, silver)":         false,
		"other notin (gold)":                true,
		"tier":                              true,
		"other":                             false,
		"!tier":                             false,
		"!other":                            true,
		"! other":                           true,
		"example.org/team=a.b_c":            true,
		"empty=":                            true,
		"empty=,tier=gold":                  true,
		"empty in (,x)":                     true,
		"tier=":                             false,
		"tier=gold,!other,example.org/team": true,
		"tier=gold,other":                   false,
		"in in (a)":                         false, // a key may be any word
		"notin!=a":                          true,
	} {
		s, err := staging.ParseSelector(selector)
		if err != nil || s.Matches(labels) != want {
			t.Errorf("%q: %v, %v; want %t", selector, s.Matches(labels), err, want)
		}
	}
}

// TestSelectorsThatSayNothingAreRefused, with what is wrong.
func TestSelectorsThatSayNothingAreRefused(t *testing.T) {
	for selector, says := range map[string]string{
		"":                                "must have a key",
		" ":                               "must have a key",
		",tier=gold":                      "is none",
		"tier=gold,":                      "must have a key",
		"tier=gold silver":                `has "silver" where a comma`,
		"tier in gold":                    "must have a set behind tier in",
		"tier in (gold":                   "closing parenthesis",
		"tier in (gold silver)":           "closing parenthesis",
		"tier in":                         "must have a set",
		"!":                               "must have a key",
		"!tier=gold":                      "where a comma",
		"-tier=gold":                      "is none",
		"tier=-gold":                      "a value of tier that is none",
		"Exa mple/x=1":                    "where a comma",
		"UPPER.org/x=1":                   "DNS name before the slash",
		"tier>3":                          "is none",
		strings.Repeat("a,", 33):          "at most 32 clauses",
		strings.Repeat("a", 2000):         "at most 1024 bytes",
		"tier=" + strings.Repeat("a", 64): "at most 63",
	} {
		if s, err := staging.ParseSelector(selector); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %+v, %v; want an error that says %q", selector, s, err, says)
		}
	}
}

// FuzzSelector: no text makes the parser fail in another way than by an error, and what it
// reads it matches.
func FuzzSelector(f *testing.F) {
	for _, s := range []string{"tier=gold,!gpu", "a in (b, c), d notin (), e!=", "((", "a==b==c"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if s, err := staging.ParseSelector(text); err == nil {
			s.Matches(map[string]string{"tier": "gold"})
		}
	})
}

// TestAPoolHasItsImagesLabelsAndItsOwnOverThem.
func TestAPoolHasItsImagesLabelsAndItsOwnOverThem(t *testing.T) {
	image := staging.Image{Labels: map[string]string{"tier": "gold", "os": "linux"}}
	got := staging.LabelsOf(image, staging.Config{Labels: map[string]string{"tier": "silver", "gpu": ""}})
	if len(got) != 3 || got["tier"] != "silver" || got["os"] != "linux" || image.Labels["tier"] != "gold" {
		t.Errorf("%v, and the image has %v", got, image.Labels)
	}
}

// TestALaunchNamesAnImageOrChoosesOne, and skips staged sessions only where there are others.
func TestALaunchNamesAnImageOrChoosesOne(t *testing.T) {
	for _, c := range []struct {
		launch staging.Launch
		field  string
	}{
		{staging.Launch{Image: "demo"}, ""},
		{staging.Launch{Selector: "tier=gold"}, ""},
		{staging.Launch{Selector: "tier=gold", Count: 2}, ""},
		{staging.Launch{Image: "demo", SkipStaged: true}, ""},
		{staging.Launch{}, "image"},
		{staging.Launch{Image: "demo", Selector: "tier=gold"}, "selector"},
		{staging.Launch{Selector: "tier="}, ""},
		{staging.Launch{Selector: "tier in"}, "selector"},
		{staging.Launch{Image: "demo", SkipStaged: true, Count: 2}, "skip_staged"},
	} {
		c.launch.Zone, c.launch.User = "east", staging.User{ID: "u"}
		err := c.launch.Validate()
		if (err == nil) != (c.field == "") || err != nil && !strings.Contains(err.Error(), c.field) {
			t.Errorf("%+v: %v, want a fault of %q", c.launch, err, c.field)
		}
	}
	// A launch of one image is the same launch for older brokers, so that a key is the same.
	if got := (staging.Launch{Image: "demo", Zone: "east", User: staging.User{ID: "u"}}).Fingerprint(); got == (staging.Launch{Selector: "a", Zone: "east", User: staging.User{ID: "u"}}).Fingerprint() {
		t.Error("a selector does not count for the fingerprint")
	}
}
