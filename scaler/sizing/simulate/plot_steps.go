package simulate

import "math"

// Step is a stretch of the judged part, for a plot.
type Step struct {
	// At is its beginning in Unix seconds.
	At float64
	// Launches and Misses are those in it, and Expected the mean of the true rate.
	Launches, Misses int
	Expected         float64
	// Wanted and Ready are the means of what the policy wanted and of what was ready.
	Wanted, Ready float64
}

// plotSteps is how many steps a plot has.
const plotSteps = 600

// recorder collects the steps of a plot. All methods do nothing on a nil recorder.
type recorder struct {
	from, width float64
	steps       []Step
	// The last size, and until when it has been counted.
	wanted, ready int
	until         float64
}

func newRecorder(r replay, in *Intensity) *recorder {
	p := &recorder{from: r.from, width: (r.end - r.from) / plotSteps, until: r.from, steps: make([]Step, plotSteps)}
	for i := range p.steps {
		from := r.from + float64(i)*p.width
		p.steps[i] = Step{At: float64(r.start) + from, Expected: in.Sum(from, from+p.width)}
	}
	return p
}

func (p *recorder) step(t float64) *Step {
	return &p.steps[min(max(int((t-p.from)/p.width), 0), len(p.steps)-1)]
}

func (p *recorder) launched(t float64, warm bool) {
	if p == nil {
		return
	}
	s := p.step(t)
	s.Launches++
	if !warm {
		s.Misses++
	}
}

// sized takes what is wanted and ready from t on.
func (p *recorder) sized(t float64, wanted, ready int) {
	if p == nil {
		return
	}
	for p.until < t {
		s := p.step(p.until)
		to := math.Min(t, p.from+p.width*math.Floor((p.until-p.from)/p.width+1))
		if to <= p.until {
			to = t
		}
		share := (to - p.until) / p.width
		s.Wanted += share * float64(p.wanted)
		s.Ready += share * float64(p.ready)
		p.until = to
	}
	p.wanted, p.ready = wanted, ready
}
