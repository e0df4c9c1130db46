package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// launched is the API's answer to a launch. It is written by hand, not generated, so that a
// change of the contract is noticed.
type launched struct {
	ID, State, Origin, Zone, Image string
	Staging, Revision, Reason      string
	Token                          string
	ConnectURL                     string `json:"connect_url"`
	User                           staging.User
	Address                        string
	Ports                          map[string]int
	Attempts                       []struct{ Step, Zone, Outcome, Reason string }
	TimingsMS                      map[string]float64 `json:"timings_ms"`
	RestartedAt                    time.Time          `json:"restarted_at"`
	RestartFailure                 string             `json:"restart_failure"`
	Healthy                        *bool              `json:"healthy"`
	HealthySince                   time.Time          `json:"healthy_since"`
}

// page returns the URL of the session's page.
func (l launched) page() string { return fmt.Sprintf("http://%s:%d", l.Address, l.Ports["http"]) }

// launch returns the body of a launch.
func launch(image, zone, user string) map[string]any {
	return map[string]any{"image": image, "zone": zone, "user": map[string]string{"id": "u-" + user, "name": user}}
}

// served is one line of the record that a demo session keeps of its users.
type served struct {
	UserID      string `json:"user_id"`
	UserName    string `json:"user_name"`
	URL         string
	Session     string
	Via         string
	Environment map[string]string
}

// record reads a demo session's own record of its users.
func record(t *testing.T, l launched) []served {
	t.Helper()
	var all []served
	must(t, json.Unmarshal([]byte(get(t, l.page()+"/served")), &all))
	return all
}

func get(t *testing.T, url string) string {
	t.Helper()
	body, err := fetch(url)
	must(t, err)
	return body
}

// fetch is get for a page that may not be there.
func fetch(url string) (string, error) { return fetchBy(http.DefaultClient, url) }

// fetchBy is fetch by a client.
func fetchBy(client *http.Client, url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// inside runs a shell command in a session, as an administrator would, and returns its
// output.
func (d *devProcess) inside(t *testing.T, session, command string) string {
	t.Helper()
	n := d.nomad(t)
	allocs, _, err := n.Jobs().Allocations(session, true, nil)
	must(t, err)
	if len(allocs) == 0 {
		t.Fatalf("session %s has no allocation", session)
	}
	alloc, _, err := n.Allocations().Info(allocs[0].ID, nil)
	must(t, err)
	var text string
	// The Docker driver may lose the end of the output: retry until it is there.
	until(t, "a command ran inside "+session, func() (bool, string) {
		var out buffer
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		// The input stays open while the command runs: its end would end the exec.
		in, hold := io.Pipe()
		defer hold.Close()
		_, err := n.Allocations().Exec(ctx, alloc, "session", false,
			[]string{"/bin/sh", "-c", command + "\necho the-end-of-it"}, in, &out, &out, nil, nil)
		var whole bool
		text, whole = strings.CutSuffix(strings.TrimSpace(out.String()), "the-end-of-it")
		return whole, fmt.Sprint(err, " ", out.String())
	})
	return strings.TrimSpace(text)
}

// session reads a session.
func (d *devProcess) session(t *testing.T, id string) launched {
	t.Helper()
	var s launched
	d.ask(t, "GET", "/v1/sessions/"+id, nil, 200, &s)
	return s
}

// untilEnded waits until a session has ended, and returns the reason.
func (d *devProcess) untilEnded(t *testing.T, id string) (reason string) {
	t.Helper()
	until(t, "session "+id+" ends", func() (bool, string) {
		s := d.session(t, id)
		reason = s.Reason
		return s.State == "ended", s.State
	})
	return reason
}

// endAll ends an image's sessions and waits until Nomad runs none of them.
func (d *devProcess) endAll(t *testing.T, image string) {
	var list struct {
		Items []struct{ ID, State, Image string }
	}
	until(t, "no session of "+image+" is left in Nomad", func() (bool, string) {
		d.ask(t, "GET", "/v1/sessions?limit=1000&image="+image, nil, 200, &list)
		for _, s := range list.Items {
			if s.Image == image && (s.State == "assigned" || s.State == "starting" || s.State == "pending") {
				_, _ = d.call("DELETE", "/v1/sessions/"+s.ID, "")
			}
		}
		left := d.jobs(t, image)
		return len(left) == 0, fmt.Sprint(left)
	})
}
