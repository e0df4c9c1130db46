package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// agentJobs begins the names of the jobs that run greenroom's agents.
	agentJobs = "greenroom"
	// maxAgentJobs bounds how many of them are read.
	maxAgentJobs = 20
	// nomadKillTimeout is the kill_timeout of a task that names none.
	nomadKillTimeout = 5 * time.Second
	// drainVariable and drainFlag set how long a broker drains.
	drainVariable, drainFlag = "GREENROOM_DRAIN_TIMEOUT", "--drain-timeout"
)

// readBrokers reads the jobs that run brokers, of those with one of our names.
func (r *nomadReader) readBrokers(ctx context.Context, c *nomadapi.Client) {
	r.facts.brokers, r.facts.brokersErr = brokersIn(ctx, c)
}

func brokersIn(ctx context.Context, c *nomadapi.Client) ([]brokerTask, error) {
	q := func(namespace string) *nomadapi.QueryOptions {
		return (&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx)
	}
	list := q(nomadapi.AllNamespacesNamespace)
	list.Prefix, list.PerPage = agentJobs, maxAgentJobs
	jobs, _, err := c.Jobs().List(list)
	var all []brokerTask
	for _, stub := range jobs {
		if stub.Stop || stub.Type != nomadapi.JobTypeService {
			continue
		}
		var job *nomadapi.Job
		if job, _, err = c.Jobs().Info(stub.ID, q(stub.Namespace)); err != nil {
			break
		}
		task, runs := brokerOf(job)
		if !runs {
			continue
		}
		var allocs []*nomadapi.AllocationListStub
		if allocs, _, err = c.Jobs().Allocations(stub.ID, false, q(stub.Namespace)); err != nil {
			break
		}
		for _, a := range allocs {
			if a.ClientStatus == nomadapi.AllocClientStatusRunning && !slices.Contains(task.nodes, a.NodeName) {
				task.nodes = append(task.nodes, a.NodeName)
			}
		}
		slices.Sort(task.nodes)
		all = append(all, task)
	}
	if err != nil {
		err = fmt.Errorf("nomad: read the brokers' jobs: %w", err)
		if denied(err) {
			err = hiddenError{err}
		}
		return nil, err
	}
	return all, nil
}

// brokerOf returns the first task of a job that runs a broker.
func brokerOf(job *nomadapi.Job) (brokerTask, bool) {
	for _, group := range job.TaskGroups {
		for _, task := range group.Tasks {
			args, _ := task.Config["args"].([]any)
			if !slices.Contains(args, any("broker")) {
				continue
			}
			b := brokerTask{job: *job.ID, kill: nomadKillTimeout, drain: staging.ClaimLease}
			if task.KillTimeout != nil && *task.KillTimeout > 0 {
				b.kill = *task.KillTimeout
			}
			texts := []string{task.Env[drainVariable]}
			for i, arg := range args {
				text, _ := arg.(string)
				if value, ok := strings.CutPrefix(text, drainFlag+"="); ok {
					texts = append(texts, value)
				} else if text == drainFlag && i+1 < len(args) {
					value, _ := args[i+1].(string)
					texts = append(texts, value)
				}
			}
			for _, text := range texts {
				if d, err := time.ParseDuration(text); err == nil {
					b.drain = d
				}
			}
			return b, true
		}
	}
	return brokerTask{}, false
}
