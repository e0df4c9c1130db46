package nomadfleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// failure returns why an allocation could not start or ended by itself. It returns nil
// if the allocation is healthy, was stopped on purpose, or was lost with its node: the
// image causes none of these. task is the one that failed; "" if that is not known.
func failure(a allocView, over bool) (why *staging.Failure, task string) {
	names := slices.Sorted(maps.Keys(a.tasks))
	for _, name := range names {
		if message := startFailure(a.tasks[name]); message != "" {
			return &staging.Failure{Type: staging.ImageUnavailable, Message: fmt.Sprintf("task %s: %s", name, message)}, name
		}
	}
	if !over || a.clientStatus == nomadapi.AllocClientStatusLost {
		return nil, ""
	}
	// Find the task that ended the allocation: the one that failed, else the last one
	// that finished without being killed.
	var last string
	for _, name := range names {
		t := a.tasks[name]
		if lastEvent(t, nomadapi.TaskKilling) != nil {
			continue
		}
		if lastEvent(t, nomadapi.TaskTerminated) == nil {
			continue
		}
		if t.Failed {
			return exitFailure(name, t), name
		}
		if last == "" || t.FinishedAt.After(a.tasks[last].FinishedAt) {
			last = name
		}
	}
	switch {
	case last != "" && a.desiredStatus == nomadapi.AllocDesiredStatusRun:
		return exitFailure(last, a.tasks[last]), last
	case a.clientStatus == nomadapi.AllocClientStatusFailed && a.desiredStatus == nomadapi.AllocDesiredStatusRun:
		return &staging.Failure{Type: staging.CrashLooping, Message: strings.ToLower(cmp.Or(a.clientDescription, "failed without a reason given"))}, ""
	}
	return nil, ""
}

// startFailure returns why a task could not start; "" if nothing prevented it.
func startFailure(t *nomadapi.TaskState) string {
	for _, e := range slices.Backward(t.Events) {
		switch e.Type {
		case nomadapi.TaskDriverFailure, nomadapi.TaskSetupFailure, nomadapi.TaskArtifactDownloadFailed, nomadapi.TaskFailedValidation:
			return display(e)
		}
	}
	return ""
}

// display returns an event's text. It is normally in DisplayMessage; the details are
// the fallback.
func display(e *nomadapi.TaskEvent) string {
	for _, m := range []string{
		e.DisplayMessage, e.Details["driver_error"], e.Details["setup_error"],
		e.Details["download_error"], e.Details["validation_error"], e.Details["message"],
	} {
		if m != "" {
			return m
		}
	}
	return e.Type
}

func exitFailure(name string, t *nomadapi.TaskState) *staging.Failure {
	e := lastEvent(t, nomadapi.TaskTerminated)
	how := "exit code " + cmp.Or(e.Details["exit_code"], strconv.Itoa(e.ExitCode))
	if signal := e.Details["signal"]; signal != "" && signal != "0" {
		how = "signal " + signal
	}
	if e.Details["oom_killed"] == "true" {
		how += " (out of memory)"
	}
	if !t.StartedAt.IsZero() && t.FinishedAt.After(t.StartedAt) {
		how += " after " + roundForDisplay(t.FinishedAt.Sub(t.StartedAt))
	}
	return &staging.Failure{Type: staging.CrashLooping, Message: fmt.Sprintf("task %s: %s", name, how)}
}

// roundForDisplay rounds a duration to the precision that suits a message.
func roundForDisplay(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// lastEvent returns the last event of a kind, or nil.
func lastEvent(t *nomadapi.TaskState, kind string) *nomadapi.TaskEvent {
	for _, e := range slices.Backward(t.Events) {
		if e.Type == kind {
			return e
		}
	}
	return nil
}
