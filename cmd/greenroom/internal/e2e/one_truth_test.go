package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestOneDesiredNumberEverywhere: a schedule that is open asks for 3 and the config for 1. All
// that shows or compares the number says 3, and why where there is room for words.
func TestOneDesiredNumberEverywhere(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	berlin, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	opened := time.Now().In(berlin).Add(-10 * time.Minute).Truncate(time.Minute)
	cron := fmt.Sprintf("%d %d * * *", opened.Minute(), opened.Hour())
	config := d.stage(t, quickImage("truth"), 1, func(c *staging.Config) {
		c.Schedule = []staging.Schedule{
			{Cron: cron, TimeZone: "Europe/Berlin", Duration: staging.Duration(time.Hour), DesiredSessions: 3},
			{Cron: "0 0 29 2 *", TimeZone: "Europe/Berlin", Duration: staging.Duration(time.Minute), DesiredSessions: 2},
		}
	})
	_, errs, err := d.greenroom("", "staging", "wait", "truth")
	if err != nil || !strings.Contains(errs, "truth has 3 ready") {
		t.Errorf("staging wait: %v\n%s", err, errs)
	}
	d.untilReady(t, "truth", 3)

	until := opened.Add(time.Hour).Format("15:04")
	words := regexp.QuoteMeta(fmt.Sprintf("schedule 1 (%s, Europe/Berlin) is open until ", cron)) +
		`(Mon |Tue |Wed |Thu |Fri |Sat |Sun )?` + until + `: 3 sessions; next: 1 from (Mon |Tue |Wed |Thu |Fri |Sat |Sun )?` + until
	for _, look := range []struct {
		args  []string
		shows string
	}{
		{[]string{"status"}, `(?m)^east +truth +truth +3 +3 +3 +full`},
		{[]string{"watch", "-n", "1"}, `(?m)^east +truth +truth +3 +3 +3 +full`},
		{[]string{"staging"}, `(?m)^truth +east +truth +3 +3 +3 +full`},
		{[]string{"staging", "show", "truth"}, `(?m)^desired +3 \(` + words + `\)$`},
		{[]string{"staging", "show", "truth", "-o", "json"}, `"desired_now": ?3,`},
		{[]string{"status", "-o", "json"}, `"desired_now": ?3,`},
	} {
		if _, out, errs := c.Run(look.args...); !regexp.MustCompile(look.shows).MatchString(out) {
			t.Errorf("greenroom %s has no %s:\n%s%s", strings.Join(look.args, " "), look.shows, out, errs)
		}
	}
	e := d.untilStanding(t, "truth", "passing", "desired 3, current 3, ready 3")
	if output := e.Checks[len(e.Checks)-1].Output + e.Checks[0].Output; !regexp.MustCompile(words).MatchString(output) {
		t.Errorf("Consul's output is %q", output)
	}
	if n := d.scalerMetric(t, `greenroom_pool_sessions{count="desired",staging="truth"}`); n != 3 {
		t.Errorf("the metric says %v", n)
	}

	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	guarded, _ := guardedBroker(t, servers, d)
	accessor, secret := d.token(t, "", "admin")
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/tokens/"+accessor, nil, 204, nil) })
	p := openPage(t, guarded)
	p.fill("Token", secret)
	p.press("Log in")
	p.untilRow("truth", "Ready", "3")
	if cell := p.row("truth")["Desired"]; !regexp.MustCompile(`^3\s+` + words + `$`).MatchString(cell) {
		t.Errorf("the page's table says %q", cell)
	}
	p.press("truth")
	p.shows("is open until ")
	if text := p.text(); !regexp.MustCompile(words).MatchString(text) || !regexp.MustCompile(`3\s+desired`).MatchString(text) {
		t.Errorf("the pool's page says\n%s", text)
	}
	p.keep("scheduled-pool")

	out, errs, err := d.greenroom("", "bench", "--image", "truth", "--zone", "east", "--clients", "1", "--requests", "1")
	if err != nil || !strings.Contains(out, "before it, pool truth had 3 of 3 sessions ready") {
		t.Errorf("bench: %v\n%s%s", err, out, errs)
	}
	// Edited on the page, the config is what it was.
	config.Schedule = nil
	d.ask(t, "PUT", "/v1/staging/truth", config, 200, nil)
	_, out, _ = c.Run("staging", "show", "truth")
	if !regexp.MustCompile(`(?m)^desired +1$`).MatchString(out) {
		t.Errorf("without a schedule staging show says\n%s", out)
	}
}

// TestARefillIsNoAlarm: while a launch's replacement is on the way, status ends with 0 and says
// filling, as do the API, Consul and the metrics. A pool whose sessions cannot start is degraded.
func TestARefillIsNoAlarm(t *testing.T) {
	servers, d := startCluster(t, 0)
	scaler := startAgent(t, servers, "scaler")
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	image := quickImage("slow")
	image.Variables["warmup"] = "20s"
	d.stage(t, image, 2)
	d.untilReady(t, "slow", 2)
	c.Want(exit.OK, []string{"status"}, "all is well", "full")

	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("slow", "east", "alice"), 201, &l)
	// Whether the replacement exists by now or not.
	out := c.Want(exit.OK, []string{"status"}, "all is well", "filling")
	if !regexp.MustCompile(`(?m)^east +slow +slow +2 +[12] +1 +filling`).MatchString(out) {
		t.Errorf("status:\n%s", out)
	}
	c.Want(exit.OK, []string{"staging", "show", "slow"}, "filling", "usual time to ready")
	d.untilStanding(t, "slow", "passing", "desired 2, current 2, ready 1, filling")
	if n := metric(t, "http://"+scaler.Address, `greenroom_pool_fill{fill="filling",staging="slow"}`); n != 1 {
		t.Errorf("the metric of filling is %v", n)
	}
	d.untilReady(t, "slow", 2)

	// Sessions that exit are made again and again: the pool is not filling.
	image.Variables["command"] = "/bin/false"
	d.ask(t, "PUT", "/v1/images/slow", image, 200, nil)
	d.untilCondition(t, "slow", staging.CrashLooping, "exit code 1")
	d.ask(t, "POST", "/v1/sessions", launch("slow", "east", "bob"), 201, &l)
	until(t, "status is an alarm", func() (bool, string) {
		code, out, errs := c.Run("status")
		return code == exit.Unwell && regexp.MustCompile(`(?m)^east +slow +slow +2 +\d +1 +short +0 of \d +CrashLooping`).MatchString(out), out + errs
	})
	d.untilStanding(t, "slow", "warning", "CrashLooping")
}
