package doctor

import "time"

// facts is what was read of a cluster. Each part that could not be read has its error instead.
type facts struct {
	nomad  nomadFacts
	consul consulFacts
	redis  redisFacts
	// clocks are how far each server's clock is ahead of this machine's, by the server's name;
	// negative for behind.
	clocks map[string]time.Duration
	// killTimeout is the longest kill_timeout in the stored images' jobspecs, and killImage its
	// image; 0 for none. imagesErr is why they could not be read.
	killTimeout time.Duration
	killImage   string
	imagesErr   error
}

// hiddenError means that a server answers, and does not tell what was asked.
type hiddenError struct{ error }

// Unwrap returns the cause.
func (e hiddenError) Unwrap() error { return e.error }

type nomadFacts struct {
	// err is why nothing could be read.
	err     error
	servers []nomadAgent
	clients []nomadAgent
	// missing are the servers and nodes that did not tell their settings, with why.
	missing []string
	// withoutConsul are the nodes that do not reach Consul.
	withoutConsul []string
	// denied are the reads that an agent makes and its token may not.
	denied []string
	// brokers are the tasks of jobs that run brokers; brokersErr is why they are not known.
	brokers    []brokerTask
	brokersErr error
}

// brokerTask is a task that runs a broker.
type brokerTask struct {
	job string
	// kill is its kill_timeout, drain how long the broker finishes its launches when it is told to
	// stop.
	kill, drain time.Duration
	// nodes are those that it runs on.
	nodes []string
}

// nomadAgent is the settings of one agent.
type nomadAgent struct {
	name    string
	version string
	// eventBuffer is the number of transactions; the thresholds are durations, "" for Nomad's own.
	eventBuffer          int
	jobGC, evalGC, batch string
	connections          int // for each address; 0 is without limit
	maxKillTimeout       string
	acl                  bool
}

type consulFacts struct {
	err     error
	version string
	// server: the agent that was read is a server. The settings below are then the servers'.
	server         bool
	acl            bool
	defaultPolicy  string
	connections    int
	maxValue       int
	maxTransaction int
	logStore       string
	// denied are the rights that an agent needs and its token does not have; deniedErr is why they
	// are not known.
	denied    []string
	deniedErr error
	// authMethod is the auth method that issued the token; "" for none. tokenErr is why that is not
	// known.
	authMethod string
	tokenErr   error
}

type redisFacts struct {
	err        error
	version    string
	eviction   string
	appendOnly bool
	// open: it answers without a password.
	open bool
	// replicas are those of the primary. refusesAlone: it takes no writes without enough of them.
	replicas     int
	refusesAlone bool
	// failover says what takes over from the primary, takesOver whether that can; failoverErr is
	// why it is not known.
	failover    string
	takesOver   bool
	failoverErr error
}
