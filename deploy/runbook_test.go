package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The parts of an alert's section of the runbook, in their order.
var partsOfASection = []string{"**It means**", "**Users notice**", "**Look at**", "**Do**", "**Over**"}

var (
	aMetric = regexp.MustCompile("`(greenroom_[a-z0-9_]+)")
	inRules = regexp.MustCompile(`\bgreenroom_[a-z0-9_]+|\bup\b`)
	aLink   = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
)

// sections returns the text below each heading of a level.
func sections(text, level string) map[string]string {
	found := map[string]string{}
	for _, part := range strings.Split("\n"+text, "\n"+level+" ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		if body, _, next := strings.Cut(body, "\n#"+level[1:]+" "); next {
			found[heading] = body
			continue
		}
		found[heading] = body
	}
	return found
}

// anchorOf returns the anchor of a heading, as the places that show Markdown make it.
func anchorOf(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// TestEveryAlertHasASectionInTheRunbook, to which its runbook_url leads, with what it means, what
// users notice, what to look at, what to do and when it is over; it names a metric of the rule.
func TestEveryAlertHasASectionInTheRunbook(t *testing.T) {
	pages := sections(read(t, "runbook/alerts.md"), "###")
	var alerts []string
	for _, r := range alertRules(t) {
		alerts = append(alerts, r.Alert)
		if want := "runbook/alerts.md#" + anchorOf(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: its runbook_url is %q and not %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		page := pages[r.Alert]
		at := 0
		for _, part := range partsOfASection {
			i := strings.Index(page, part)
			if i < 0 && part == "**Do**" {
				i = strings.Index(page, "**do**")
			}
			if i < at {
				t.Errorf("%s: the runbook lacks %s in its turn", r.Alert, part)
			}
			at = max(at, i)
		}
		if named := inRules.FindAllString(r.Expr, -1); !slices.ContainsFunc(named, func(m string) bool {
			base := strings.TrimSuffix(strings.TrimSuffix(m, "_bucket"), "_count")
			return strings.Contains(page, "`"+base)
		}) && !strings.Contains(page, "as above") {
			t.Errorf("%s: the runbook names none of the rule's metrics %q", r.Alert, named)
		}
	}
	for name := range pages {
		if !slices.Contains(alerts, name) {
			t.Errorf("the runbook has a section for %s, which is no alert", name)
		}
	}
}

// failures are the sections of the runbook for what fails.
var failures = []string{
	"Node", "Rack", "Redis", "Consul", "Nomad", "Broker", "Scaler", "Gateway", "Region", "Disk full", "Clock wrong", "Certificate expired",
}

// TestEveryFailureIsInTheRunbook, with the alerts that it fires, and with what is known by a test or a
// measurement.
func TestEveryFailureIsInTheRunbook(t *testing.T) {
	pages := sections(read(t, "runbook/README.md"), "##")
	var alerts []string
	for _, r := range alertRules(t) {
		alerts = append(alerts, r.Alert)
	}
	for _, name := range failures {
		page := pages[name]
		for _, part := range []string{"**Users notice**", "**greenroom does**", "**Alerts**", "**Look at**", "**Do**", "**Over**", "**Known by**"} {
			if !strings.Contains(page, part) {
				t.Errorf("%s: the runbook lacks %s", name, part)
			}
		}
		for _, alert := range regexp.MustCompile(`\bGreenroom\w+`).FindAllString(page, -1) {
			if !slices.Contains(alerts, alert) {
				t.Errorf("%s: there is no alert %s", name, alert)
			}
		}
	}
}

// TestTheRunbooksMetricsExist: what the runbook and the sizing guide name as a metric is in README.md's table, which
// an end-to-end test compares with what the agents export.
func TestTheRunbooksMetricsExist(t *testing.T) {
	table := read(t, "README.md")
	for _, page := range guides {
		named := 0
		for _, m := range aMetric.FindAllStringSubmatch(read(t, page), -1) {
			named++
			if !strings.Contains(table, "| `"+m[1]+"` |") {
				t.Errorf("%s names the metric %s, which no agent exports", page, m[1])
			}
		}
		if named == 0 {
			t.Errorf("%s names no metric: this test no longer reads it", page)
		}
	}
}

// guides are the documents for those who operate greenroom, beside README.md.
var guides = []string{"runbook/alerts.md", "runbook/README.md", "sizing.md"}

// TestTheGuidesLinksLead somewhere: to a file, and to a heading of it.
func TestTheGuidesLinksLead(t *testing.T) {
	for _, page := range guides {
		for _, m := range aLink.FindAllStringSubmatch(read(t, page), -1) {
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), m[1])
			}
			text, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
				continue
			}
			headings := regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1)
			if m[2] != "" && !slices.ContainsFunc(headings, func(h []string) bool { return "#"+anchorOf(h[1]) == m[2] }) {
				t.Errorf("%s links to %s%s, and there is no such heading", page, m[1], m[2])
			}
		}
	}
}
