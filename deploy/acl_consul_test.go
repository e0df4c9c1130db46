package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/poolboard"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

func testConsulBroker(t *testing.T, g *guarded) {
	c := g.consulClient(t, g.consulTokenFor(t, "greenroom-broker", read(t, "acl/consul-broker.policy.hcl")))
	r := registry.New(c, "")
	if _, err := r.PutZone(patient(t), zone); err != nil {
		t.Errorf("store a zone: %v", err)
	}
	if _, err := r.PutImage(patient(t), image(mockSession)); err != nil {
		t.Errorf("store an image: %v", err)
	}
	if _, err := r.DeleteImage(patient(t), "app"); err != nil {
		t.Errorf("delete an image: %v", err)
	}
	won, fate, err := r.CreateFate(patient(t), staging.Fate{Session: "gr-1", Verdict: staging.VerdictAssigned, HookPending: true})
	if err != nil || !won {
		t.Fatalf("decide a fate: %v, %v", won, err)
	}
	if err := r.FinishFates(patient(t), []staging.Fate{fate}); err != nil {
		t.Errorf("finish a fate: %v", err)
	}
	brokerLives(t, c, r)
	if _, err := r.RotateKeys(patient(t), []string{staging.AccessSecret, access.LoginSecret}, time.Now(), time.Hour); err != nil {
		t.Errorf("rotate the keys: %v", err)
	}
	locksUsers(t, r)
	// It leases profiles, for its launches, and frees those of its own that failed.
	lease := staging.ProfileLease{Path: "/srv/profiles/u", Session: "gr-profile", Zone: "east"}
	for _, l := range []staging.ProfileLease{{Path: "/srv/profiles/v", Session: "gr-failed"}, lease} {
		if taken, holder, err := r.TakeProfile(patient(t), l); err != nil || !taken {
			t.Errorf("lease a profile: %t, %+v, %v", taken, holder, err)
		}
	}
	if err := r.ReleaseProfile(patient(t), staging.ProfileLease{Path: "/srv/profiles/v", Session: "gr-failed"}); err != nil {
		t.Errorf("free a profile: %v", err)
	}
	another := lease
	another.Session = "gr-another"
	if taken, holder, err := r.TakeProfile(patient(t), another); err != nil || taken || holder.Session != "gr-profile" {
		t.Errorf("a profile that is in use: %t, %+v, %v", taken, holder, err)
	}
	g.seesHealth(t, c)
	// It keeps tokens, gives them new secrets and records their uses.
	token, _ := access.NewToken(access.TokenRequest{Name: "rotated", Role: access.Viewer}, time.Now())
	if err := r.CreateToken(patient(t), token); err != nil {
		t.Errorf("store a token: %v", err)
	}
	if _, _, err := r.ChangeToken(patient(t), token.Accessor, func(old access.Token) (access.Token, error) { return old, nil }); err != nil {
		t.Errorf("change a token: %v", err)
	}
	if err := r.NoteTokenUse(patient(t), token.Accessor, time.Now()); err != nil {
		t.Errorf("record the use of a token: %v", err)
	}
	if uses, err := r.TokenUses(patient(t)); err != nil || uses[token.Accessor].IsZero() {
		t.Errorf("read the uses of tokens: %v, %v", uses, err)
	}
	if _, err := r.RevokeToken(patient(t), token.Accessor); err != nil {
		t.Errorf("revoke a token: %v", err)
	}
	denied(t, "showing that a scaler lives", c.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{Name: "greenroom-scaler-locks"}))
	deniedInConsul(t, c)

	// It keeps its secrets from others, and sees when Consul does not.
	anybody := g.consulClient(t, "")
	if may, err := r.OpenTo(patient(t), anybody); may != "" || err != nil {
		t.Errorf("without a token: %q, %v", may, err)
	}
	for _, c := range []struct{ rules, want string }{
		{`key_prefix "greenroom/tokens/" { policy = "read" }`, "read"},
		{`key_prefix "greenroom/" { policy = "write" }`, "read"},
		{`key_prefix "elsewhere/" { policy = "write" }`, ""},
	} {
		if may, err := r.OpenTo(patient(t), g.consulClient(t, g.consulTokenFor(t, "open-"+staging.NewClaimID()[:20], c.rules))); may != c.want || err != nil {
			t.Errorf("with %s: %q, %v", c.rules, may, err)
		}
	}
}

// locksUsers locks a user, to whom no session is assigned then, and unlocks the user.
func locksUsers(t *testing.T, r *registry.Registry) {
	t.Helper()
	theirs := staging.Fate{Session: "gr-locked", Verdict: staging.VerdictAssigned, Claim: "c", User: &staging.User{ID: "u-locked"}}
	if made, _, err := r.LockUser(patient(t), access.UserLock{UserID: "u-locked"}); err != nil || !made {
		t.Errorf("lock a user: %t, %v", made, err)
	}
	var locked *access.LockedError
	if _, _, err := r.CreateFate(patient(t), theirs); !errors.As(err, &locked) {
		t.Errorf("decide a fate for a locked user: %v", err)
	}
	if err := r.NoteSessionsEnded(patient(t), "u-locked"); err != nil {
		t.Errorf("note that a locked user's sessions have ended: %v", err)
	}
	if locks, err := r.RefreshUserLocks(patient(t)); err != nil || len(locks.All()) != 1 || !locks.All()[0].SessionsEnded {
		t.Errorf("read the locked users: %+v, %v", locks, err)
	}
	if _, err := r.UnlockUser(patient(t), "u-locked"); err != nil {
		t.Errorf("unlock a user: %v", err)
	}
	if won, _, err := r.CreateFate(patient(t), theirs); err != nil || !won {
		t.Errorf("decide a fate once the user is unlocked: %t, %v", won, err)
	}
}

func testConsulScaler(t *testing.T, g *guarded) {
	c := g.consulClient(t, g.consulTokenFor(t, "greenroom-scaler", read(t, "acl/consul-scaler.policy.hcl")))
	if _, err := registry.New(g.consul, "").PutZone(patient(t), zone); err != nil {
		t.Fatal(err)
	}
	r := registry.New(c, "")
	if resources, err := r.Refresh(patient(t)); err != nil || resources.Zones["east"].Name != "east" {
		t.Errorf("read the resources: %+v, %v", resources, err)
	}
	if won, _, err := r.CreateFate(patient(t), staging.Fate{Session: "gr-2", Verdict: staging.VerdictRetired}); err != nil || !won {
		t.Errorf("decide a fate: %v, %v", won, err)
	}
	// The first zone is there, so that the first agent takes over the jobs without an id.
	if has, err := r.HasRecords(patient(t)); err != nil || !has {
		t.Errorf("look for records: %v, %v", has, err)
	}
	if i, err := r.CreateInstallation(patient(t), staging.Installation{ID: staging.NewInstallationID()}); err != nil || i.ID == "" {
		t.Errorf("store the installation: %+v, %v", i, err)
	}
	if g, err := r.NextGeneration(patient(t), 0); err != nil || g.Current == 0 {
		t.Errorf("begin a generation: %+v, %v", g, err)
	}
	if fates, err := r.Fates(patient(t)); err != nil || fates["gr-2"].Verdict != staging.VerdictRetired {
		t.Errorf("read the fates: %+v, %v", fates, err)
	}
	if err := r.DeleteFate(patient(t), "gr-2"); err != nil {
		t.Errorf("delete a fate: %v", err)
	}
	ctx, stop := context.WithCancel(patient(t))
	locks := r.NewLocks(c, "policy-test")
	locks.Want([]string{"east"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		locks.Run(ctx, func(err error) { t.Errorf("hold a zone's lock: %v", err) })
	}()
	for !locks.Held("east") && ctx.Err() == nil {
		<-time.After(20 * time.Millisecond)
	}
	if !locks.Held("east") {
		t.Error("a zone's lock cannot be held")
	}
	stop()
	<-done
	// It frees profiles and reads which brokers are alive, and cannot show that one is.
	if leases, err := r.Profiles(patient(t)); err != nil || len(leases) != 1 {
		t.Errorf("read the leases of profiles: %+v, %v", leases, err)
	} else if err := r.ReleaseProfile(patient(t), leases[0]); err != nil {
		t.Errorf("free a profile: %v", err)
	} else if holder, err := registry.New(g.consul, "").ProfileHolder(patient(t), leases[0].Path); err != nil || holder.Session != "" {
		t.Errorf("a profile that was freed: %+v, %v", holder, err)
	}
	g.seesABroker(t, r)
	denied(t, "showing that a broker lives", c.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{Name: "greenroom-broker-presence"}))
	g.showsAPool(t, c)
	g.showsAssignedSessions(t, c)
	g.seesHealth(t, c)
	_, err := r.PutZone(patient(t), zone)
	denied(t, "changing a zone", err)
	_, err = r.DeleteZone(patient(t), "east")
	denied(t, "deleting a zone", err)
	token, _ := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	if err := registry.New(g.consul, "").CreateToken(patient(t), token); err != nil {
		t.Fatal(err)
	}
	// Consul omits from a list what its reader may not see, so this is no error.
	if tokens, err := r.RefreshTokens(patient(t)); err == nil && len(tokens.All()) > 0 {
		t.Error("the scaler reads the callers' tokens")
	}
	if _, _, err := registry.New(g.consul, "").LockUser(patient(t), access.UserLock{UserID: "u"}); err != nil {
		t.Fatal(err)
	}
	if locks, err := r.RefreshUserLocks(patient(t)); err == nil && len(locks.All()) > 0 {
		t.Error("the scaler reads the locked users")
	}
	_, err = r.UnlockUser(patient(t), "u")
	denied(t, "unlocking a user", err)
	if _, err := g.consul.KV().Put(&consulapi.KVPair{Key: "greenroom/secrets/access", Value: []byte("x")}, nil); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.KV().Get("greenroom/secrets/access", nil)
	denied(t, "reading the brokers' secret", err)
	_, err = r.RotateKeys(patient(t), []string{staging.AccessSecret}, time.Now(), time.Hour)
	denied(t, "rotating the brokers' keys", err)
	deniedInConsul(t, c)
}

// showsAPool publishes a pool's status in Consul. It checks that the board removes what an
// earlier scaler left, and in the end its own instance.
func (g *guarded) showsAPool(t *testing.T, c *consulapi.Client) {
	t.Helper()
	service := staging.PoolStatusService("app-east")
	err := g.consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{
		ID: service + "-before", Name: service, Tags: []string{"zone=east", "scaler=before"},
		Check: &consulapi.AgentServiceCheck{TTL: "1h"},
	})
	if err != nil {
		t.Fatal(err)
	}
	// This node has no agent, so its instances can only be removed from the catalog.
	_, err = g.consul.Catalog().Register(&consulapi.CatalogRegistration{
		Node: "dead", Address: "192.0.2.1",
		Service: &consulapi.AgentService{ID: service + "-dead", Service: service, Tags: []string{"zone=east", "scaler=dead"}},
		Check:   &consulapi.AgentCheck{Node: "dead", CheckID: "dead", ServiceID: service + "-dead", Status: consulapi.HealthCritical},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	board := poolboard.New(c, "policy-test")
	board.Holds(map[string]bool{"east": true}, true)
	board.Show("app-east", staging.PoolStatus{Zone: "east", Desired: 1, Current: 1, Ready: 1})
	ctx, stop := context.WithCancel(patient(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		board.Run(ctx, func(err error) { t.Errorf("publish a pool's status: %v", err) })
	}()
	entries := func() []*consulapi.ServiceEntry {
		found, _, err := g.consul.Health().Service(service, "", false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	eventually(t, func(context.Context) error {
		if e := entries(); len(e) != 1 || e[0].Checks.AggregatedStatus() != consulapi.HealthPassing {
			return fmt.Errorf("%d instances, want one that passes", len(e))
		}
		return nil
	})
	stop()
	<-done
	if e := entries(); len(e) > 0 {
		t.Errorf("a stopped scaler left %d instances", len(e))
	}
}

// seesHealth registers a session's service, as a Nomad agent does, and checks that c sees
// its health.
func (g *guarded) seesHealth(t *testing.T, c *consulapi.Client) {
	t.Helper()
	service := staging.PoolService("app-east")
	err := g.consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{
		ID: "_nomad-task-x", Name: service, Meta: map[string]string{consulhealth.SessionMeta: "gr-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := consulhealth.New(c).WaitPassing(patient(t), service, "gr-1"); err != nil {
		t.Errorf("see a session's health: %v", err)
	}
}

// deniedInConsul checks that c is denied what neither component may do in Consul.
func deniedInConsul(t *testing.T, c *consulapi.Client) {
	t.Helper()
	_, err := c.KV().Put(&consulapi.KVPair{Key: "elsewhere/key", Value: []byte("x")}, nil)
	denied(t, "writing a key elsewhere", err)
	_, err = c.KV().Put(&consulapi.KVPair{Key: "greenroom-not/key", Value: []byte("x")}, nil)
	denied(t, "writing a key with a similar prefix", err)
	_, _, err = c.KV().Get("elsewhere/key", nil)
	denied(t, "reading a key elsewhere", err)
	_, err = c.KV().DeleteTree("", nil)
	denied(t, "deleting all keys", err)
	denied(t, "registering a service", c.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{Name: "greenroom-pool-fake"}))
	_, err = c.Catalog().Register(&consulapi.CatalogRegistration{Node: "fake", Address: "192.0.2.1"}, nil)
	denied(t, "registering a node", err)
	_, _, err = c.ACL().TokenList(nil)
	denied(t, "the list of ACL tokens", err)
	_, err = c.Operator().RaftGetConfiguration(nil)
	denied(t, "the operator's Raft configuration", err)
	if services, _, err := c.Catalog().Service("consul", "", nil); err != nil || len(services) > 0 {
		t.Errorf("another service: want it invisible, got %d instances, %v", len(services), err)
	}
}

// consulTokenFor creates a policy in Consul and returns a token with this policy alone.
func (g *guarded) consulTokenFor(t *testing.T, name, rules string) string {
	t.Helper()
	policy, _, err := g.consul.ACL().PolicyCreate(&consulapi.ACLPolicy{Name: name, Rules: rules}, nil)
	if err != nil {
		t.Fatalf("upload %s: %v", name, err)
	}
	token, _, err := g.consul.ACL().TokenCreate(&consulapi.ACLToken{Policies: []*consulapi.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID
}
