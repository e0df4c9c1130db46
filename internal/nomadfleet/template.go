package nomadfleet

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// fieldJobspec is the field of an image that a refused jobspec is about.
const fieldJobspec = "jobspec"

// Check asks Nomad whether it takes the image's jobspec, fitted as for a
// session. A refusal is a *staging.InvalidError about the field "jobspec" with
// Nomad's own words, line included, or about a run config or volume mapping that
// the driver does not know; a Nomad that does not answer is
// ErrUnavailable.
func (f *Fleet) Check(ctx context.Context, image staging.Image) error {
	template, err := f.template(ctx, image)
	if err != nil {
		return err
	}
	// A session of no zone: whether nodes fit is for the scheduler to say, each time.
	probe := staging.Session{
		ID: staging.SessionPrefix + "check", Origin: staging.Staged,
		Zone: "check", Image: image.Name, Staging: "check",
	}
	zone := staging.Zone{Name: "check", Datacenters: []string{"*"}}
	spec := staging.Spec{Session: probe, Image: image, Zone: zone, RunConfig: image.RunConfig, Volumes: image.VolumeMappings}
	if image.PersistentProfilePath != "" {
		spec.Volumes = append(spec.Volumes, staging.VolumeMapping{Source: image.PersistentProfilePath, Target: staging.ProfileTarget})
	}
	if err := misfits(template, spec); err != nil {
		return err
	}
	if err := strayHooks(template, image); err != nil {
		return err
	}
	job := Fit(template, spec)
	problems, err := f.validate(ctx, job, "", "")
	if err != nil {
		return unavailable("check a jobspec", err)
	}
	if len(problems) > 0 {
		return refused(image, oneLine(problems))
	}
	return nil
}

// strayHooks refuses hooks that name a task which the jobspec does not have.
func strayHooks(job *nomadapi.Job, image staging.Image) error {
	e := &staging.InvalidError{What: fmt.Sprintf("image %q", image.Name)}
	for _, h := range []struct {
		name staging.HookName
		hook *staging.Hook
	}{
		{staging.HookFirstLaunch, image.ExecConfig.FirstLaunch}, {staging.HookAssign, image.ExecConfig.Assign}, {staging.HookGo, image.ExecConfig.Go},
	} {
		if h.hook == nil || h.hook.Task == "" {
			continue
		}
		var names []string
		for _, t := range job.TaskGroups[0].Tasks {
			names = append(names, t.Name)
		}
		if !slices.Contains(names, h.hook.Task) {
			e.Fields = append(e.Fields, staging.FieldError{
				Field:   fmt.Sprintf("exec_config.%s.task", h.name),
				Message: fmt.Sprintf("is not a task of the jobspec; its tasks are %s", strings.Join(names, ", ")),
			})
		}
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// validate gives Nomad's objections to a job. The errors of a Nomad that does
// not answer are err.
func (f *Fleet) validate(ctx context.Context, job *nomadapi.Job, namespace, region string) ([]string, error) {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	reply, _, err := f.nomad.Jobs().Validate(job, f.write(ctx, namespace, region))
	if err != nil {
		return nil, err
	}
	return reply.ValidationErrors, nil
}

func refused(image staging.Image, message string) error {
	return staging.Invalid(fmt.Sprintf("image %q", image.Name), fieldJobspec, "%s", message)
}

// template is the image's jobspec as a job of the caller's own, parsed by
// Nomad and found to be fit for a session.
func (f *Fleet) template(ctx context.Context, image staging.Image) (*nomadapi.Job, error) {
	variables := variablesFile(image.Variables)
	key := sha256.Sum256([]byte(variables + "\x00" + image.Jobspec))
	if job, ok := f.templates.get(key); ok {
		return job, nil
	}
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	var raw json.RawMessage
	request := nomadapi.JobsParseRequest{JobHCL: image.Jobspec, Variables: variables, Canonicalize: true}
	// Not Jobs().ParseHCLOpts, which takes no context.
	if _, err := f.nomad.Raw().Write("/v1/jobs/parse", &request, &raw, f.write(ctx, "", "")); err != nil {
		if status, body, ok := answer(err); ok && status == http.StatusBadRequest {
			return nil, refused(image, parseMessage(body))
		}
		return nil, unavailable("parse a jobspec", err)
	}
	job, err := decodeJob(raw)
	if err != nil {
		return nil, unavailable("parse a jobspec", err)
	}
	if problem := unfit(job); problem != "" {
		return nil, refused(image, problem)
	}
	f.templates.put(key, raw)
	return job, nil
}

// parseMessage is what Nomad says of a jobspec that does not parse, by the
// names that the image's owner knows.
func parseMessage(body string) string {
	body = strings.TrimPrefix(body, "Failed to parse job: ")
	// What is about no one place comes with an empty one.
	body = strings.TrimPrefix(body, "<nil>: ")
	return strings.ReplaceAll(body, "input.hcl:", "line ")
}

var (
	errorCount = regexp.MustCompile(`\d+ errors? occurred:\s*(\* )?`)
	errorItem  = regexp.MustCompile(`\s*\n\s*(\* )?`)
)

// oneLine writes Nomad's nested lists of errors on one line.
func oneLine(problems []string) string {
	all := errorCount.ReplaceAllString(strings.TrimSpace(strings.Join(problems, "\n")), "")
	return strings.TrimSpace(errorItem.ReplaceAllString(strings.TrimSpace(all), "; "))
}

func decodeJob(raw json.RawMessage) (*nomadapi.Job, error) {
	job := new(nomadapi.Job)
	if err := json.Unmarshal(raw, job); err != nil {
		return nil, fmt.Errorf("its reply: %w", err)
	}
	return job, nil
}

// maxTemplates bounds the cache: far more images than one scaler keeps busy.
const maxTemplates = 128

// templateCache holds parsed jobspecs by their content, as JSON: decoding it
// gives every session a job of its own, with nothing shared. The oldest entry
// makes room for a new one. The zero value is ready for use.
type templateCache struct {
	mu    sync.Mutex
	jobs  map[[sha256.Size]byte]json.RawMessage
	order [][sha256.Size]byte
}

func (c *templateCache) get(key [sha256.Size]byte) (*nomadapi.Job, bool) {
	c.mu.Lock()
	raw, ok := c.jobs[key]
	c.mu.Unlock()
	if !ok {
		return nil, false
	}
	job, err := decodeJob(raw)
	return job, err == nil
}

func (c *templateCache) put(key [sha256.Size]byte, raw json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobs == nil {
		c.jobs = map[[sha256.Size]byte]json.RawMessage{}
	}
	if _, ok := c.jobs[key]; ok {
		return
	}
	if len(c.order) >= maxTemplates {
		delete(c.jobs, c.order[0])
		c.order = c.order[1:]
	}
	c.jobs[key] = raw
	c.order = append(c.order, key)
}
