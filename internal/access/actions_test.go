package access

import "testing"

// TestEveryRefusalSaysWhatAPersonDid: every operation that may be refused for its role has
// words, and no other.
func TestEveryRefusalSaysWhatAPersonDid(t *testing.T) {
	for operation, rule := range rules {
		// Guard.Rule may close bootstrap.
		if _, ok := actions[operation]; ok == rule.Open && operation != "bootstrap" {
			t.Errorf("%s: open %t, words %q", operation, rule.Open, actions[operation])
		}
	}
	for operation := range actions {
		if !Known(operation) {
			t.Errorf("%s is no operation", operation)
		}
	}
	if got := ActionOf("putStaging"); got != "changing a staging config" {
		t.Error(got)
	}
}
