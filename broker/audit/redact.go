package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"

	"github.com/greenroom/greenroom/internal/staging"
)

// These stand for a value that may be a secret: the record shows that it is there, and
// that it changed.
const (
	hiddenText  = "(hidden)"
	changedText = "(hidden, changed)"
)

// hide replaces a map's values with as, or with changed where the value was another before.
func hide[V any](before, now map[string]V, as, changed V) map[string]V {
	if now == nil {
		return nil
	}
	hidden := make(map[string]V, len(now))
	for k, v := range now {
		hidden[k] = as
		if was, ok := before[k]; ok && !reflect.DeepEqual(was, v) {
			hidden[k] = changed
		}
	}
	return hidden
}

// digest stands for a text, so that a change of the text shows.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("sha256:%s (%d bytes)", hex.EncodeToString(sum[:8]), len(s))
}

// RedactImages returns two versions of an image without what may be secret: the
// jobspec, the variables, the run config and the environments of hooks. Either
// may be nil.
func RedactImages(before, after *staging.Image) (*staging.Image, *staging.Image) {
	return redactImage(nil, before), redactImage(before, after)
}

func redactImage(before, now *staging.Image) *staging.Image {
	if now == nil {
		return nil
	}
	if before == nil {
		before = &staging.Image{}
	}
	r := *now
	r.Jobspec = digest(now.Jobspec)
	r.Variables = hide(before.Variables, now.Variables, hiddenText, changedText)
	r.RunConfig = hide(before.RunConfig, now.RunConfig, hiddenText, changedText)
	r.ExecConfig = staging.ExecConfig{
		FirstLaunch: redactHook(before.ExecConfig.FirstLaunch, now.ExecConfig.FirstLaunch),
		Assign:      redactHook(before.ExecConfig.Assign, now.ExecConfig.Assign),
		Go:          redactHook(before.ExecConfig.Go, now.ExecConfig.Go),
	}
	return &r
}

func redactHook(before, now *staging.Hook) *staging.Hook {
	if now == nil {
		return nil
	}
	if before == nil {
		before = &staging.Hook{}
	}
	r := *now
	r.Environment = hide(before.Environment, now.Environment, hiddenText, changedText)
	return &r
}

// RedactGroups returns two versions of a group without the values of its run config.
// Either may be nil.
func RedactGroups(before, after *staging.Group) (*staging.Group, *staging.Group) {
	redact := func(before, now *staging.Group) *staging.Group {
		if now == nil {
			return nil
		}
		if before == nil {
			before = &staging.Group{}
		}
		r := *now
		r.RunConfig = hide(before.RunConfig, now.RunConfig, hiddenText, changedText)
		return &r
	}
	return redact(nil, before), redact(before, after)
}
