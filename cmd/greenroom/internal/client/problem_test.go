package client

import (
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAReasonIsSaidOnce: the detail of a refused launch has the reasons of the zones, and what was
// tried adds those that it lacks.
func TestAReasonIsSaidOnce(t *testing.T) {
	e := &ProblemError{Problem: httpapi.Problem{
		Code: "no_capacity", Detail: "none can be made: zone east: no memory; zone east does not search alternate zones",
		Attempts: []staging.Attempt{
			{Step: staging.StepStaged, Zone: "east", Outcome: staging.OutcomeEmpty, Reason: "no session of pe is ready"},
			{Step: staging.StepOnDemand, Zone: "east", Outcome: staging.OutcomeFailed, Reason: "no memory"},
			{Step: staging.StepOnDemand, Zone: "east", Outcome: staging.OutcomeSkipped, Reason: "zone east does not search alternate zones"},
			{Step: staging.StepStaged, Zone: "west", Outcome: staging.OutcomeSkipped, Reason: "zone west is not stageable"},
		},
	}}
	want := `none can be made: zone east: no memory; zone east does not search alternate zones (no_capacity)
  tried staged in east: empty, no session of pe is ready
  tried on_demand in east: failed
  tried staged in west: skipped, zone west is not stageable`
	if got := e.Error(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
