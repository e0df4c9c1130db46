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

// fieldJobspec is the field that a *staging.InvalidError about a jobspec names.
const fieldJobspec = "jobspec"

// Check validates the image's jobspec in Nomad, after fitting it as for a session. If
// Nomad refuses it, the error is a *staging.InvalidError about the field "jobspec" with
// Nomad's message and line number. A run config or volume mapping that the driver does
// not support is a *staging.InvalidError about that field. If Nomad does not answer,
// the error is ErrUnavailable.
func (f *Fleet) Check(ctx context.Context, image staging.Image) error {
	template, err := f.template(ctx, image)
	if err != nil {
		return err
	}
	// The probe has no real zone, since only the scheduler can say whether nodes fit.
	probe := staging.Session{
		ID: staging.SessionPrefix + "check", Origin: staging.Staged,
		Zone: "check", Image: image.Name, Staging: "check",
	}
	zone := staging.Zone{Name: "check", Datacenters: []string{"*"}}
	spec := staging.Spec{Session: probe, Image: image, Zone: zone, RunConfig: image.RunConfig, Volumes: image.VolumeMappings}
	if image.PersistentProfilePath != "" {
		spec.Volumes = append(spec.Volumes, staging.VolumeMapping{Source: image.PersistentProfilePath, Target: staging.ProfileTarget})
	}
	if err := staging.AllInvalid(checkDriver(template, spec), checkHookTasks(template, image)); err != nil {
		return err
	}
	job := Fit(template, spec)
	problems, err := f.validate(ctx, job, "", "")
	if err != nil {
		return unavailable("validate the job of image "+image.Name, err)
	}
	if len(problems) > 0 {
		return invalidJobspec(image, oneLine(problems))
	}
	return nil
}

// checkHookTasks returns a *staging.InvalidError for hooks whose task is not in the jobspec.
func checkHookTasks(job *nomadapi.Job, image staging.Image) error {
	e := &staging.InvalidError{What: fmt.Sprintf("image %q", image.Name)}
	for name, hook := range image.ExecConfig.Hooks {
		if hook.Task == "" {
			continue
		}
		var names []string
		for _, t := range job.TaskGroups[0].Tasks {
			names = append(names, t.Name)
		}
		if !slices.Contains(names, hook.Task) {
			e.Fields = append(e.Fields, staging.FieldError{
				Field:   fmt.Sprintf("exec_config.%s.task", name),
				Message: fmt.Sprintf("is not a task of the jobspec; its tasks are %s", strings.Join(names, ", ")),
			})
		}
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// validate returns Nomad's objections to a job. The error means that Nomad did not
// validate it.
func (f *Fleet) validate(ctx context.Context, job *nomadapi.Job, namespace, region string) ([]string, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	response, _, err := f.nomad.Jobs().Validate(job, f.writeOptions(ctx, namespace, region))
	if err != nil {
		return nil, err
	}
	return response.ValidationErrors, nil
}

func invalidJobspec(image staging.Image, message string) error {
	return staging.Invalid(fmt.Sprintf("image %q", image.Name), fieldJobspec, "%s", message)
}

// template returns the image's jobspec as a job that the caller may change. Nomad has
// parsed it, and it follows the rules for a session's template.
func (f *Fleet) template(ctx context.Context, image staging.Image) (*nomadapi.Job, error) {
	variables := variablesFile(image.Variables)
	key := sha256.Sum256([]byte(variables + "\x00" + image.Jobspec))
	if job, ok := f.templates.get(key); ok {
		return job, nil
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	var raw json.RawMessage
	// Nomad adds few defaults here, so that Fit knows which values the jobspec names. It adds
	// them when the job is registered.
	request := nomadapi.JobsParseRequest{JobHCL: image.Jobspec, Variables: variables}
	// Jobs().ParseHCLOpts takes no context.
	if _, err := f.nomad.Raw().Write("/v1/jobs/parse", &request, &raw, f.writeOptions(ctx, "", "")); err != nil {
		if status, body, ok := responseError(err); ok && status == http.StatusBadRequest {
			return nil, invalidJobspec(image, parseMessage(body))
		}
		return nil, unavailable("parse the jobspec of image "+image.Name, err)
	}
	job, err := decodeJob(raw)
	if err != nil {
		return nil, unavailable("parse the jobspec of image "+image.Name, err)
	}
	if problem := templateProblems(job); problem != "" {
		return nil, invalidJobspec(image, problem)
	}
	unsetChangeModes(job, image.Jobspec)
	if raw, err = json.Marshal(job); err != nil {
		return nil, fmt.Errorf("encode the parsed jobspec of image %s: %w", image.Name, err)
	}
	f.templates.put(key, raw)
	return job, nil
}

// parseMessage rewrites Nomad's message about a jobspec that does not parse for the
// image's owner, who does not know Nomad's file name.
func parseMessage(body string) string {
	body = strings.TrimPrefix(body, "Failed to parse job: ")
	// A message without a position has an empty one, each of several its own.
	body = strings.ReplaceAll(body, "<nil>: ", "")
	return strings.ReplaceAll(body, "input.hcl:", "line ")
}

var (
	errorCountPattern = regexp.MustCompile(`\d+ errors? occurred:\s*(\* )?`)
	errorItemPattern  = regexp.MustCompile(`\s*\n\s*(\* )?`)
)

// oneLine writes Nomad's nested lists of errors on one line.
func oneLine(problems []string) string {
	all := errorCountPattern.ReplaceAllString(strings.TrimSpace(strings.Join(problems, "\n")), "")
	return strings.TrimSpace(errorItemPattern.ReplaceAllString(strings.TrimSpace(all), "; "))
}

func decodeJob(raw json.RawMessage) (*nomadapi.Job, error) {
	job := new(nomadapi.Job)
	if err := json.Unmarshal(raw, job); err != nil {
		return nil, fmt.Errorf("decode the response: %w", err)
	}
	return job, nil
}

// maxTemplates bounds the cache. It is far more images than one scaler uses.
const maxTemplates = 128

// templateCache holds parsed jobspecs, with a hash of their content as key. It stores
// them as JSON, so that each session decodes its own job and shares nothing. A full
// cache drops its oldest entry. The zero value is ready for use.
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
