package regions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// startWithin limits the start of both regions' servers, including a first build of them.
const startWithin = 30 * time.Minute

// region is one region: its servers, its greenroom, and an administrator's calls to it.
type region struct {
	*devcluster.Cluster
	api agenttest.API
}

// world is two federated regions. Those who launch are in east, which knows west as its peer.
type world struct {
	east, west *region
	// second is the other broker of east, and westBroker the one that east calls.
	second     agenttest.API
	westBroker *agenttest.Agent
	// road is what stands between the regions.
	road *road
	// peerAddress is west's address in east's configuration, peerToken the token there.
	peerAddress, peerToken string
}

// road stands between the regions, as a load balancer does, and may lose answers.
type road struct {
	*httputil.ReverseProxy
	// loses: launches reach the other region, and their answers are lost.
	loses atomic.Bool
	// launches counts those that came along.
	launches atomic.Int64
}

func newRoad(t *testing.T, to string) (r *road, address string) {
	t.Helper()
	u, err := url.Parse(to)
	agenttest.Must(t, err)
	r = &road{ReverseProxy: httputil.NewSingleHostReverseProxy(u)}
	r.Transport = &http.Transport{DisableKeepAlives: true}
	r.ModifyResponse = func(answer *http.Response) error {
		if answer.Request.Method == http.MethodPost && answer.Request.URL.Path == "/v1/sessions" {
			r.launches.Add(1)
			if r.loses.Load() {
				answer.Body.Close()
				panic(http.ErrAbortHandler) // the connection breaks
			}
		}
		return nil
	}
	r.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return r, serve(t, r)
}

// serve serves a handler on loopback until the test ends.
func serve(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// start starts the servers of both regions, joins their Nomads, and starts both greenrooms.
func start(t *testing.T) *world {
	t.Helper()
	program, err := agenttest.Build("greenroom", t.TempDir())
	agenttest.Must(t, err)
	w := &world{east: startServers(t, "east"), west: startServers(t, "west")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	agenttest.Must(t, w.east.Federate(ctx, w.west.Cluster))
	for _, r := range []*region{w.east, w.west} {
		agenttest.Until(t, "the Nomad at "+r.NomadAddr+" knows both regions", func() (bool, string) {
			var known []string
			err := nomad(ctx, r, "/v1/regions", &known)
			return err == nil && slices.Equal(known, []string{"east", "west"}), fmt.Sprint(known, err)
		})
	}

	// West requires tokens, and east has one that may launch there, and no more.
	w.westBroker = agenttest.Start(t, program, "broker", append(agenttest.On(w.west.Cluster), "--access", "--allow-open-consul")...)
	w.west.api = w.westBroker.API()
	var admin, launcher struct{ Secret string }
	w.west.api.Ask(t, "POST", "/v1/bootstrap", nil, 201, &admin)
	w.west.api.Token = admin.Secret
	w.west.api.Ask(t, "POST", "/v1/tokens", map[string]any{"name": "east", "role": "launcher"}, 201, &launcher)
	w.peerToken = launcher.Secret
	agenttest.Start(t, program, "scaler", agenttest.On(w.west.Cluster)...)

	w.road, w.peerAddress = newRoad(t, "http://"+w.westBroker.Address)
	token := filepath.Join(t.TempDir(), "west.token")
	agenttest.Must(t, os.WriteFile(token, []byte(w.peerToken+"\n"), 0o600))
	config := filepath.Join(t.TempDir(), "east.hcl")
	agenttest.Must(t, os.WriteFile(config, fmt.Appendf(nil, "broker {\n  peer \"west\" {\n    address    = %q\n    token_file = %q\n  }\n}\n", w.peerAddress, token), 0o600))
	flags := append(agenttest.On(w.east.Cluster), "--config", config)
	w.east.api = agenttest.Start(t, program, "broker", flags...).API()
	w.second = agenttest.Start(t, program, "broker", flags...).API()
	agenttest.Start(t, program, "scaler", agenttest.On(w.east.Cluster)...)

	w.east.api.Ask(t, "PUT", "/v1/zones/east", staging.Zone{
		Datacenters: []string{"dc1"}, Region: "east", AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1",
		SearchAlternateZones: true, AlternateZones: []string{"abroad"},
	}, 201, nil)
	w.east.api.Ask(t, "PUT", "/v1/zones/abroad", staging.Zone{Peer: "west", PeerZone: "west-1"}, 201, nil)
	w.west.api.Ask(t, "PUT", "/v1/zones/west-1", staging.Zone{
		Datacenters: []string{"dc1"}, Region: "west", AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1",
	}, 201, nil)
	for _, r := range []*region{w.east, w.west} {
		for _, image := range []string{"everywhere", "west-staged", "cold", "west-only"} {
			i := staging.Image{Name: image, Jobspec: jobspecs.DemoMock}
			if r == w.east && image == "west-only" {
				i.RestrictToZones = []string{"abroad"}
			}
			r.api.Ask(t, "PUT", "/v1/images/"+image, i, 201, nil)
		}
	}
	w.pool(t, w.east, "east", "everywhere", 2)
	w.pool(t, w.west, "west-1", "everywhere", 1)
	w.pool(t, w.west, "west-1", "west-staged", 3)
	return w
}

// startServers starts the servers of a region.
func startServers(t *testing.T, name string) *region {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	c, err := devcluster.Start(ctx, devcluster.Options{Region: name, Datacenters: []string{"dc1"}, Progress: os.Stderr})
	agenttest.Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range c.Processes() {
				t.Logf("the end of the log of %s in %s:\n%s", p.Name, name, p.LogTail(15))
			}
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &region{Cluster: c}
}

// pool stages an image in a zone of a region.
func (w *world) pool(t *testing.T, r *region, zone, image string, sessions int) {
	t.Helper()
	r.api.Ask(t, "PUT", "/v1/staging/"+image, map[string]any{"zone": zone, "image": image, "desired_sessions": sessions}, 201, nil)
	r.api.UntilReady(t, image, sessions)
}

// launched is the answer to a launch.
type launched struct {
	ID, State, Origin, Zone, Peer, Token, Code, Detail string
	PeerAddress                                        string `json:"peer_address"`
	Attempts                                           []staging.Attempt
}

// steps are the attempts without their reasons.
func (l launched) steps() []string {
	var all []string
	for _, a := range l.Attempts {
		all = append(all, fmt.Sprintf("%s in %s: %s", a.Step, a.Zone, a.Outcome))
	}
	return all
}

// launch launches an image in zone east for a user, with a key or without.
func launch(t *testing.T, at agenttest.API, image, user, key string) (int, launched) {
	t.Helper()
	var headers []string
	if key != "" {
		headers = []string{"Idempotency-Key", key}
	}
	r, err := at.Call("POST", "/v1/sessions?wait=60s", fmt.Sprintf(`{"image":%q,"zone":"east","user":{"id":%q}}`, image, user), headers...)
	agenttest.Must(t, err)
	var l launched
	agenttest.Must(t, json.Unmarshal(r.Body, &l))
	return r.Status, l
}

// sessionsOf are the sessions of a user in a region that have not ended.
func sessionsOf(t *testing.T, r *region, user string) []string {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	r.api.Ask(t, "GET", "/v1/sessions?user="+user, nil, 200, &list)
	ids := []string{}
	for _, s := range list.Items {
		ids = append(ids, s.ID)
	}
	return ids
}

// nomad reads from a region's Nomad.
func nomad(ctx context.Context, r *region, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.NomadAddr+path, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
