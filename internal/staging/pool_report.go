package staging

import "time"

// PoolReport is what the scaler reports of a pool to brokers.
type PoolReport struct {
	// Pool is the staging config's name.
	Pool string
	Zone string
	// Conditions are what keeps it from its desired state; none when nothing does.
	Conditions []Condition
	Rollout    Rollout
	// Usual is how long its sessions usually take to be ready; 0 for not known.
	Usual time.Duration
	// Remark says what is no condition yet, such as a hook that failed once; "" for nothing.
	Remark string
	// Sized: the pool has sizing. What the demand of another asked for is removed.
	Sized bool
	// LastFailure is its session that failed last; nil leaves what was reported before, unless
	// ForgetFailure.
	LastFailure   *PoolFailure
	ForgetFailure bool
	// Kept are the ids of its failed sessions whose jobs are kept in Nomad, the newest last.
	Kept []string
}
