package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestAnOperatorSeesItAllInConsul: the real Consul UI, in a real browser, shows the agents,
// the status of each pool, the users of sessions, and the resources.
func TestAnOperatorSeesItAllInConsul(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("seen"), 2)
	d.untilReady(t, "seen", 2)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("seen", "east", "alice"), 201, &l)
	standing := d.untilStanding(t, "seen", consulapi.HealthPassing, "desired 2, current 2, ready 2")
	session := d.untilShown(t, l.ID)
	until(t, "the agents pass their checks", func() (bool, string) {
		for _, agent := range []string{"greenroom-broker", "greenroom-scaler"} {
			entries, _, err := d.consul(t).Health().Service(agent, "", true, nil)
			must(t, err)
			if len(entries) != 1 || len(entries[0].Checks) < 2 {
				return false, fmt.Sprint(agent, " ", entries)
			}
		}
		return true, ""
	})

	ui := d.Consul + "/ui/dc1/"
	instance := func(e *consulapi.ServiceEntry) string {
		return fmt.Sprintf("%sservices/%s/instances/%s/%s/", ui, e.Service.Service, e.Node.Node, url.PathEscape(e.Service.ID))
	}
	browser := openBrowser(t, 1280, 1600)
	seeInConsul(t, browser, ui+"services?filter=greenroom", "consul-services",
		"greenroom-broker", "greenroom-scaler", "greenroom-staging-seen", "greenroom-pool-seen", "greenroom-sessions")
	seeInConsul(t, browser, instance(standing)+"health-checks", "consul-pool",
		"ready sessions of seen", "desired 2, current 2, ready 2")
	seeInConsul(t, browser, ui+"services/"+session.Service.Service+"/instances", "consul-sessions", l.ID, "user=u-alice")
	// The UI opens the tab of checks first, whatever the address.
	seeInConsul(t, browser, instance(session)+"health-checks", "consul-session-health", session.Service.ID)
	press(t, browser, "Tags & Meta")
	shows(t, browser, "consul-session",
		"user=u-alice", "zone=east", "image=seen", "greenroom_user_name", "alice", l.ID)
	seeInConsul(t, browser, ui+"kv/greenroom/resources/staging/seen/edit", "consul-resource", "seen")
}

// seeInConsul is see for a page of Consul's own. On a busy machine such a page stays blank now
// and then, and is opened again, as a person would.
func seeInConsul(t *testing.T, browser context.Context, url, picture string, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, 3*time.Minute)
	defer cancel()
	var opened time.Time
	until(t, "Consul's page is not blank", func() (bool, string) {
		if time.Since(opened) > 20*time.Second {
			opened = time.Now()
			must(t, chromedp.Do(ctx, chromedp.Navigate(url)))
		}
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		return strings.TrimSpace(text) != "", fmt.Sprint(url, " ", err)
	})
	shows(t, browser, picture, words...)
}

// untilStanding waits until Consul has one instance for the status of a pool, with a check
// status and a text in its output.
func (d *devProcess) untilStanding(t *testing.T, pool, status, text string) (e *consulapi.ServiceEntry) {
	t.Helper()
	until(t, fmt.Sprintf("Consul shows %s as %s: %s", pool, status, text), func() (bool, string) {
		entries, _, err := d.consul(t).Health().Service(staging.PoolStatusService(pool), "", false, nil)
		must(t, err)
		saw := ""
		for _, e = range entries {
			for _, c := range e.Checks {
				if c.ServiceID != "" {
					saw += fmt.Sprintf("%s: %s: %s; ", c.ServiceID, c.Status, c.Output)
				}
			}
			if len(entries) == 1 && e.Checks.AggregatedStatus() == status && strings.Contains(saw, text) {
				return true, ""
			}
		}
		return false, saw
	})
	return e
}

// TestConsulShowsHowAPoolStands: a pool that is short, a pool that is empty, and the reason.
// A second scaler takes the status over from one that is killed; without any scaler it
// expires; it goes with its staging config.
func TestConsulShowsHowAPoolStands(t *testing.T) {
	c, d := startCluster(t, 2)
	first, second := startAgent(t, c, "scaler"), startAgent(t, c, "scaler")
	d.untilStanding(t, "mock", consulapi.HealthPassing, "desired 2, current 2, ready 2")
	holder := d.holder(t, "east", first, second)
	other := map[*agent]*agent{first: second, second: first}[holder]

	// Consul shows who has each session, too, and that goes on with another scaler.
	var tara, tom launched
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "tara"), 201, &tara)
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "tom"), 201, &tom)
	before := d.untilShown(t, tara.ID)
	d.untilShown(t, tom.ID)

	holder.End(t, syscall.SIGKILL)
	d.holder(t, "east", other)
	d.hide(t, tom.ID)
	d.untilShown(t, tom.ID)
	if after := d.shown(t, tara.ID); after == nil || after.Service.CreateIndex != before.Service.CreateIndex {
		t.Errorf("the other scaler removed the entry of a session that goes on: %+v", after)
	}
	until(t, "the other scaler tells of the pool, and it alone", func() (bool, string) {
		e := d.untilStanding(t, "mock", consulapi.HealthPassing, "ready 2")
		return strings.Contains(e.Service.ID, other.Name()), e.Service.ID
	})

	// The existing sessions stay, and there is no room for more.
	d.ask(t, "PUT", "/v1/images/mock", staging.Image{
		Name: "mock", Jobspec: jobspecs.DemoMock, Variables: map[string]string{"memory": "10000000"},
	}, 200, nil)
	d.want(t, 3)
	d.untilStanding(t, "mock", consulapi.HealthWarning, "CapacityExhausted: not enough memory")
	d.want(t, 0)
	d.untilStanding(t, "mock", consulapi.HealthPassing, "desired 0, current 0, ready 0")
	enabled := false
	d.ask(t, "PUT", "/v1/images/mock", staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock, Enabled: &enabled}, 200, nil)
	d.want(t, 1)
	d.untilStanding(t, "mock", consulapi.HealthCritical, "ImageDisabled")
	enabled = true
	d.ask(t, "PUT", "/v1/images/mock", staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock, Enabled: &enabled}, 200, nil)
	d.untilStanding(t, "mock", consulapi.HealthPassing, "desired 1, current 1, ready 1")
	other.End(t, syscall.SIGKILL)
	d.untilStanding(t, "mock", consulapi.HealthCritical, "TTL expired")

	// It ends while no scaler runs, so its entry stays until there is one.
	d.ask(t, "DELETE", "/v1/sessions/"+tom.ID, nil, 204, nil)
	third := startAgent(t, c, "scaler")
	d.untilNotShown(t, tom.ID)
	if d.shown(t, tara.ID) == nil {
		t.Error("the third scaler removed the entry of a session that goes on")
	}
	d.neverRegisteredAgain(t, tara.ID)
	until(t, "a third scaler tells of it", func() (bool, string) {
		e := d.untilStanding(t, "mock", consulapi.HealthPassing, "desired 1, current 1, ready 1")
		return strings.Contains(e.Service.ID, third.Name()), e.Service.ID
	})
	d.ask(t, "DELETE", "/v1/staging/mock", nil, 204, nil)
	until(t, "Consul shows nothing of a pool that is drained", func() (bool, string) {
		entries, _, err := d.consul(t).Health().Service(staging.PoolStatusService("mock"), "", false, nil)
		must(t, err)
		return len(entries) == 0, fmt.Sprint(len(entries))
	})
}
