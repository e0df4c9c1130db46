package nomadfleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// What Consul shows of a session's standing, in its service's tags and meta.
const (
	metaState    = "greenroom_state"
	metaUserID   = "greenroom_user_id"
	metaUserName = "greenroom_user_name"

	unassigned    = "unassigned"
	assigned      = "assigned"
	tagUnassigned = "state=" + unassigned
	tagAssigned   = "state=" + assigned
	tagUser       = "user="
)

// Consul refuses a longer value of a service's meta. A tag has no bound there; this one is ours.
const (
	maxMetaValue = 512
	maxTag       = 255
)

// tagTries bounds how often a job that somebody else changes is read anew.
const maxTagAttempts = 5

// errContended: every try to change the job met another change of it.
var errTagConflict = errors.New("its job is being changed by somebody else")

// Tag shows in Consul whose an assigned session is: s.User. It registers the
// session's job anew with nothing but its service's tags and meta changed, which
// leaves the allocation alone; a job that is stopped, over or not there is left
// as it is. It may be repeated. Its errors are ErrUnavailable.
func (f *Fleet) Tag(ctx context.Context, s staging.Session) error {
	if s.User == nil {
		return nil
	}
	op := "tag " + s.ID
	for range maxTagAttempts {
		done, err := f.tagOnce(ctx, s)
		if err != nil {
			return unavailable(op, err)
		}
		if done {
			return nil
		}
	}
	return unavailable(op, errTagConflict)
}

// tag is one try; done is false when the job was changed meanwhile.
func (f *Fleet) tagOnce(ctx context.Context, s staging.Session) (done bool, err error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	switch {
	case notFound(err):
		return true, nil
	case err != nil:
		return false, err
	case job.Meta[metaSession] != s.ID, deref(job.Stop), deref(job.Status) == jobStatusDead, len(job.TaskGroups) != 1:
		return true, nil
	}
	service := sessionService(job.TaskGroups[0])
	if service == nil || !setUser(service, *s.User) {
		return true, nil
	}
	_, _, err = f.nomad.Jobs().EnforceRegister(job, deref(job.JobModifyIndex), f.writeOptions(ctx, s.Namespace, s.Region))
	if _, body, hasResponse := responseError(err); hasResponse && strings.Contains(body, nomadapi.RegisterEnforceIndexErrPrefix) {
		return false, nil
	}
	return err == nil, err
}

// show writes a user into a service, and reports whether that changed it.
func setUser(service *nomadapi.Service, u staging.User) bool {
	id, name := literal(sanitize(u.ID, maxMetaValue)), literal(sanitize(u.Name, maxMetaValue))
	user := literal(sanitize(tagUser+u.ID, maxTag))
	if slices.Contains(service.Tags, tagAssigned) && slices.Contains(service.Tags, user) && service.Meta[metaUserName] == name {
		return false
	}
	service.Tags = append(slices.DeleteFunc(slices.Clone(service.Tags), func(t string) bool { return t == tagUnassigned }), tagAssigned, user)
	service.Meta = maps.Clone(service.Meta)
	service.Meta[metaState], service.Meta[metaUserID], service.Meta[metaUserName] = assigned, id, name
	return true
}

// plain makes one line of what a user is called, at most limit bytes of it.
func sanitize(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	for len(text) > limit {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}
