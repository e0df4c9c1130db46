package nomadfleet

import (
	"context"
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Warnings returns what an image's jobspec has that means nothing for a session, each with what
// to do instead; none for a jobspec that is not accepted. Errors are those of Check.
func (f *Fleet) Warnings(ctx context.Context, image staging.Image) ([]string, error) {
	job, err := f.template(ctx, image)
	if err != nil {
		return nil, err
	}
	return voidParts(job), nil
}

// What a jobspec asks for in vain, and what does the same.
const (
	voidSpread     = "spreads the allocations of one job, and a session is a job of one: set spread in the staging config"
	voidDistinct   = "compares the allocations of one job, and a session is a job of one: set distinct_hosts, or spread, in the staging config"
	voidUpdate     = "is left out: max_unavailable in the staging config says how a new revision replaces sessions"
	voidReschedule = "is left out: a session that is lost is replaced by another one, and never moved"
	voidScaling    = "is left out: desired_sessions or sizing in the staging config says how many sessions there are"
	voidRestarts   = "is left out: a check that fails for a moment is no reason to end a session; set unhealthy_expiration"
)

// voidParts lists them for a template.
func voidParts(job *nomadapi.Job) []string {
	var found []string
	add := func(present bool, where, block, why string) {
		if present {
			found = append(found, fmt.Sprintf("jobspec: the %s of %s has no effect: it %s", block, where, why))
		}
	}
	constraints := func(where string, all []*nomadapi.Constraint) {
		for _, c := range all {
			distinct := c.Operand == nomadapi.ConstraintDistinctHosts || c.Operand == nomadapi.ConstraintDistinctProperty
			add(distinct, where, "constraint "+c.Operand, voidDistinct)
		}
	}
	g := job.TaskGroups[0]
	group := fmt.Sprintf("group %q", deref(g.Name))
	add(len(job.Spreads) > 0, "the job", "spread", voidSpread)
	constraints("the job", job.Constraints)
	add(job.Update != nil, "the job", "update", voidUpdate)
	add(job.Migrate != nil, "the job", "migrate", voidReschedule)
	add(job.Reschedule != nil, "the job", "reschedule", voidReschedule)
	add(len(g.Spreads) > 0, group, "spread", voidSpread)
	constraints(group, g.Constraints)
	add(g.Update != nil, group, "update", voidUpdate)
	add(g.Migrate != nil, group, "migrate", voidReschedule)
	add(g.ReschedulePolicy != nil, group, "reschedule", voidReschedule)
	add(g.Scaling != nil, group, "scaling", voidScaling)
	add(restartsByCheck(g.Services), group, "check_restart", voidRestarts)
	for _, t := range g.Tasks {
		task := fmt.Sprintf("task %q", t.Name)
		constraints(task, t.Constraints)
		add(len(t.ScalingPolicies) > 0, task, "scaling", voidScaling)
		add(restartsByCheck(t.Services), task, "check_restart", voidRestarts)
	}
	return found
}

// restartsByCheck reports whether a service or one of its checks has a check_restart.
func restartsByCheck(services []*nomadapi.Service) bool {
	for _, s := range services {
		if s.CheckRestart != nil {
			return true
		}
		for _, c := range s.Checks {
			if c.CheckRestart != nil {
				return true
			}
		}
	}
	return false
}
