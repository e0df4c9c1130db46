package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// What fails on one node and runs on others is the node's fault: its driver, its disk, its
// network. Such a node is avoided for the image for a while, and its failures do not make
// the image look broken.

const (
	// blameAfter is how many sessions of an image must fail on a node in a row until the
	// node is avoided: a single failure may be chance.
	blameAfter = 2
	// firstAvoidance is how long a node is avoided at first. It doubles, up to
	// longestAvoidance, with each further try that fails after the node was avoided.
	firstAvoidance   = 10 * time.Minute
	longestAvoidance = 160 * time.Minute
	// maxOutcomes bounds the pairs of a node and an image that are remembered; of more,
	// those without news for the longest time are forgotten.
	maxOutcomes = 10_000
	// maxAvoided bounds how many nodes one job avoids.
	maxAvoided = 16
)

// nodeImage is a pair of a node and an image.
type nodeImage struct{ node, image string }

// outcome is how an image's sessions have fared on a node.
type outcome struct {
	// failures counts those that failed since one became healthy there; 0 means that the
	// last one became healthy. last is the latest failure.
	failures int
	last     *staging.Failure
	// at is when the last one failed or became healthy.
	at time.Time
	// avoidance is how long the node is avoided; zero before it was. until is when that ends.
	avoidance time.Duration
	until     time.Time
}

// outcomes are those of all nodes and images.
type outcomes struct {
	of map[nodeImage]outcome
	// until is, by image, when the last avoidance of a node ends: most decisions find none.
	until map[string]time.Time
}

func newOutcomes() outcomes {
	return outcomes{of: map[nodeImage]outcome{}, until: map[string]time.Time{}}
}

// succeeded notes that a session of an image became healthy on a node.
func (o outcomes) succeeded(k nodeImage, now time.Time) { o.store(k, outcome{at: now}) }

// failed notes that a session of an image failed on a node. blamed: the image runs
// elsewhere, so it is no failure of the image. avoided: the node was avoided already.
func (o outcomes) failed(k nodeImage, why *staging.Failure, now time.Time) (blamed, avoided bool) {
	x := o.of[k]
	avoided = x.avoidedAt(now)
	x.failures, x.last, x.at = x.failures+1, why, now
	blamed = o.runsElsewhere(k)
	switch {
	case !blamed || x.failures < blameAfter:
	case x.avoidance == 0:
		x.avoidance = firstAvoidance
		x.until = now.Add(x.avoidance)
	case !avoided:
		x.avoidance = min(2*x.avoidance, longestAvoidance)
		x.until = now.Add(x.avoidance)
	}
	o.store(k, x)
	return blamed, avoided
}

// runsElsewhere reports whether the last session of the image on some other node became
// healthy. If an image fails on all nodes, none of them is to blame.
func (o outcomes) runsElsewhere(k nodeImage) bool {
	for other, x := range o.of {
		if other.image == k.image && other.node != k.node && x.failures == 0 {
			return true
		}
	}
	return false
}

func (x outcome) avoidedAt(now time.Time) bool { return x.failures > 0 && now.Before(x.until) }

// store keeps an outcome within the bound.
func (o outcomes) store(k nodeImage, x outcome) {
	if _, known := o.of[k]; !known && len(o.of) >= maxOutcomes {
		var oldest nodeImage
		for other, y := range o.of {
			if oldest == (nodeImage{}) || y.at.Before(o.of[oldest].at) {
				oldest = other
			}
		}
		delete(o.of, oldest)
	}
	o.of[k] = x
	if x.until.After(o.until[k.image]) {
		o.until[k.image] = x.until
	}
}

// forgetNode forgets what is known of a node: it is gone, or somebody may have repaired it.
func (o outcomes) forgetNode(node string) {
	for k := range o.of {
		if k.node == node {
			delete(o.of, k)
		}
	}
}

// forgetFailures forgets on which nodes an image failed, so that none is avoided for it.
func (o outcomes) forgetFailures(image string) {
	for k, x := range o.of {
		if k.image == image && x.failures > 0 {
			delete(o.of, k)
		}
	}
	delete(o.until, image)
}

// forgetImage forgets how an image fared: it was changed, and what ran says nothing of what is made
// now. Otherwise a change that breaks the image would look like a fault of the first node that
// tries it.
func (o outcomes) forgetImage(image string) {
	for k := range o.of {
		if k.image == image {
			delete(o.of, k)
		}
	}
	delete(o.until, image)
}

// FailingNode is a node that is avoided for an image.
type FailingNode struct {
	// ID and Name are Nomad's.
	ID, Name string
	// Failures counts the sessions that failed there in a row; Last is the latest failure.
	Failures int
	Last     staging.Failure
	// Until is when the node is tried again.
	Until time.Time
}

// failingNodes returns the nodes that are avoided for an image, in the order of their
// names. None is while the image runs nowhere.
func (v *view) failingNodes(image string, now time.Time) []FailingNode {
	if !now.Before(v.outcomes.until[image]) {
		return nil
	}
	var found []FailingNode
	for k, x := range v.outcomes.of {
		if k.image == image && x.avoidedAt(now) && v.outcomes.runsElsewhere(k) {
			found = append(found, FailingNode{ID: k.node, Name: v.nodes[k.node].name, Failures: x.failures, Last: *x.last, Until: x.until})
		}
	}
	slices.SortFunc(found, func(a, b FailingNode) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return found
}

// avoid returns the ids of the nodes that a new session of an image avoids.
func (v *view) avoid(image string, now time.Time) []string {
	var ids []string
	for _, n := range v.failingNodes(image, now) {
		if len(ids) < maxAvoided {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// noteFailure counts a session's failure towards its pool's backoff, unless its node is to
// blame. A session that fails on a node although the node is avoided counts after all, as
// the node's: there is no room elsewhere, and the next try would fail as soon.
func (v *view) noteFailure(p *pool, e *entry, why *staging.Failure, now time.Time) {
	v.dirtyPools[p.config.Name] = true
	k := nodeImage{node: e.s.NodeID, image: e.s.Image}
	if k.node == "" {
		p.failed(why, now)
		return
	}
	switch blamed, avoided := v.outcomes.failed(k, why, now); {
	case !blamed:
		on, first := p.failedOn, p.backoff.Failures == 0
		p.failed(why, now)
		if !slices.Contains(on, k.node) && (first || on != nil) {
			on = append(on, k.node)
		}
		p.failedOn = on
		v.poolsFailedOn[p.config.Name] = true
	case avoided:
		p.failed(&staging.Failure{Type: staging.NodeFailing, Message: nodeFailing(k.image, []FailingNode{
			{ID: k.node, Name: v.nodes[k.node].name, Last: *why},
		}) + "; no other node has room"}, now)
	}
}

// noteSuccess notes that a session became healthy. If its image had failed on other nodes
// only, those failures were theirs, and its pools need not wait any longer.
func (v *view) noteSuccess(e *entry, now time.Time) {
	if e.s.NodeID == "" || e.s.Image == "" {
		return
	}
	if made := v.pools[e.s.Staging]; made != nil && e.s.Revision != "" && made.target.revision != "" && e.s.Revision != made.target.revision {
		return // an older revision, which the image's last change may have mended or broken
	}
	v.outcomes.succeeded(nodeImage{node: e.s.NodeID, image: e.s.Image}, now)
	// Not all pools, which may be many, at each session that becomes healthy.
	for name := range v.poolsFailedOn {
		p := v.pools[name]
		if p == nil || len(p.failedOn) == 0 {
			delete(v.poolsFailedOn, name)
			continue
		}
		if p.config.Image == e.s.Image && p.backoff.paused() && !slices.Contains(p.failedOn, e.s.NodeID) {
			p.backoff, p.failedOn = Backoff{}, nil
			v.dirtyPools[name] = true
		}
	}
}

// nodeFailing is the message of condition NodeFailing. It changes only when the nodes or
// their last failures do.
func nodeFailing(image string, nodes []FailingNode) string {
	const most = 5
	var texts []string
	for _, n := range nodes[:min(most, len(nodes))] {
		texts = append(texts, fmt.Sprintf("%s (%s): %s", cmp.Or(n.Name, "a node"), n.ID, n.Last.Message))
	}
	if more := len(nodes) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("image %s fails on a node while it runs on others, so new sessions avoid the node for a while: %s", image, strings.Join(texts, "; "))
}
