package nomadfleet

import "testing"

func TestAPositionThatIsNotKnownIsNotShown(t *testing.T) {
	got := parseMessage("Failed to parse job: <nil>: Missing required variable; the variable \"a\" is not set\n<nil>: Another\ninput.hcl:3,5-8: Unsupported argument")
	if want := "Missing required variable; the variable \"a\" is not set\nAnother\nline 3,5-8: Unsupported argument"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
