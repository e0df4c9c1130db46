package httpapi

import (
	"context"
	"math"
	"time"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// GetStatus implements StrictServerInterface.
func (h *handlers) GetStatus(ctx context.Context, _ GetStatusRequestObject) (GetStatusResponseObject, error) {
	s := h.broker.Monitor.Status(requestContext(ctx))
	return GetStatus200JSONResponse{
		Status: StatusStatus(s.Health), Reasons: each(s.Reasons, itself[string]),
		Dependencies: each(s.Dependencies, dependency), Zones: each(s.Zones, zoneStatus), Peers: each(s.Peers, peerStatus),
		ForeignSessions: s.Foreign, Remarks: s.Remarks(), Agents: each(s.Agents, agent),
	}, nil
}

func agent(a staging.Agent) Agent {
	return Agent{Kind: a.Kind, Address: a.Address, Version: a.Version}
}

func zoneStatus(z status.ZoneStatus) ZoneStatus {
	out := ZoneStatus{Name: z.Name, Peer: z.Peer, Vouched: z.Trusted, Pools: []PoolStatus{}}
	var sum staging.Activity
	// On demand is counted once for each image, however many pools the image has in the zone.
	demands := map[string]int{}
	var current, ready int
	for _, p := range z.Pools {
		out.DesiredSessions += p.DesiredSessions
		out.DesiredNow += p.Wanted.Sessions
		current, ready = current+p.Current, ready+p.Ready
		sum.PerMinute += p.Activity.PerMinute
		sum.Staged += p.Activity.Staged
		demands[p.Image] = p.Activity.OnDemand
		out.Pools = append(out.Pools, poolStatus(p, z.Known))
	}
	for _, n := range demands {
		sum.OnDemand += n
	}
	if z.Known {
		perMinute := hundredths(sum.PerMinute)
		out.CurrentSessions, out.ReadySessions, out.ClaimsPerMinute, out.StagedShare = &current, &ready, &perMinute, share(sum)
	}
	return out
}

func poolStatus(p status.PoolStatus, known bool) PoolStatus {
	out := PoolStatus{
		Name: p.Name, Image: p.Image, Revision: p.Revision, DesiredSessions: p.DesiredSessions,
		DesiredNow: p.Wanted.Sessions, DesiredReason: p.Wanted.Reason, Conditions: each(p.Conditions, itself[Condition]), Remark: p.Remark,
	}
	if !known {
		return out
	}
	if p.Updated != nil {
		out.UpdatedSessions = &p.Updated.Current
	}
	perMinute := hundredths(p.Activity.PerMinute)
	out.Fill = Fill(p.Fill)
	out.CurrentSessions, out.ReadySessions, out.ClaimsPerMinute, out.StagedShare = &p.Current, &p.Ready, &perMinute, share(p.Activity)
	if p.Activity.Ready > 0 {
		out.TimeToReady = TimeToReady{
			Sessions: p.Activity.Ready, MeanSeconds: secondsOf(p.Activity.MeanToReady), MaxSeconds: secondsOf(p.Activity.MaxToReady),
		}
	}
	return out
}

// share returns the part of launches that a staged session served; nil where none was served.
func share(a staging.Activity) *float64 {
	if a.Staged+a.OnDemand == 0 {
		return nil
	}
	s := hundredths(float64(a.Staged) / float64(a.Staged+a.OnDemand))
	return &s
}

func hundredths(f float64) float64 { return math.Round(f*100) / 100 }

func secondsOf(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
