package nomadfleet_test

import (
	"errors"
	"testing"

	"github.com/greenroom/greenroom/internal/nomadfleet"
)

func TestPing(t *testing.T) {
	if err := newRig(t).Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	client, err := nomadfleet.NewClient(nomadfleet.Settings{Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := nomadfleet.New(client, nomadfleet.Options{}).Ping(testContext(t)); !errors.Is(err, nomadfleet.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}

func TestOwnRegion(t *testing.T) {
	r := newRig(t)
	if own, err := r.OwnRegion(testContext(t), "global"); err != nil || !own {
		t.Errorf("the server's own region: %t, %v", own, err)
	}
	if own, err := r.OwnRegion(testContext(t), "far"); err == nil || own {
		t.Errorf("a region that does not exist: %t, %v", own, err)
	}
}
