package deploy_test

import (
	"context"
	"fmt"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/sessioncatalog"
	"github.com/greenroom/greenroom/internal/staging"
)

// showsAssignedSessions publishes an assigned session in Consul's catalog and removes it
// again. It checks that the same token can register nothing else there.
func (g *guarded) showsAssignedSessions(t *testing.T, c *consulapi.Client) {
	t.Helper()
	names := sessioncatalog.DefaultNames()
	catalog := sessioncatalog.New(c, names)
	catalog.Holds(map[string]bool{"east": true}, map[string]bool{"east": true}, true)
	ctx, stop := context.WithCancel(patient(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		catalog.Run(ctx, func(err error) { t.Errorf("publish an assigned session: %v", err) })
	}()
	has := func(n int) {
		t.Helper()
		eventually(t, func(context.Context) error {
			all, _, err := g.consul.Health().Service(names.Service, "", true, nil)
			found := 0
			for _, e := range all { // a scaler of another test may have shown its own
				if e.Service.ID == "gr-1" {
					found++
				}
			}
			if err == nil && found != n {
				err = fmt.Errorf("%d passing instances, want %d", found, n)
			}
			return err
		})
	}
	catalog.Show(staging.Assignment{
		Session: "gr-1", User: staging.User{ID: "u"}, Zone: "east", Image: "app", Address: "192.0.2.1", Port: 80, ChecksKnown: true, Passing: true,
	})
	has(1)
	catalog.Gone("gr-1")
	has(0)
	stop()
	<-done

	// No machine's node, and no other service, here or on a machine's node.
	self, err := g.consul.Agent().NodeName()
	if err != nil {
		t.Fatal(err)
	}
	for what, op := range map[string]*consulapi.TxnOp{
		"changing a machine's node":         {Node: &consulapi.NodeTxnOp{Verb: consulapi.NodeSet, Node: consulapi.Node{Node: self, Address: "192.0.2.1"}}},
		"another service on this node":      {Service: &consulapi.ServiceTxnOp{Verb: consulapi.ServiceSet, Node: names.Node, Service: consulapi.AgentService{ID: "x", Service: "web"}}},
		"a session's own service elsewhere": {Service: &consulapi.ServiceTxnOp{Verb: consulapi.ServiceSet, Node: self, Service: consulapi.AgentService{ID: "x", Service: staging.PoolService("app-east")}}},
	} {
		ok, response, _, err := c.Txn().Txn(consulapi.TxnOps{op}, nil)
		if err == nil && !ok {
			err = fmt.Errorf("%s", response.Errors[0].What)
		}
		denied(t, what, err)
	}
}
