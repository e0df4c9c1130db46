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

// Tags and meta keys of a session's service, by which Consul shows whether the session
// is assigned and to which user.
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

const (
	// maxMetaValue is Consul's limit for a value of a service's meta, in bytes.
	maxMetaValue = 512
	// maxTag is greenroom's own limit; Consul has none for tags.
	maxTag = 255
)

// maxTagAttempts bounds the attempts to tag a job that others change at the same time.
const maxTagAttempts = 5

// errTagConflict means that somebody else changed the job during every attempt.
var errTagConflict = errors.New("somebody else changed the job during every attempt")

// Tag shows the user of an assigned session, s.User, in Consul. It registers the
// session's job again and changes only its service's tags and meta, so the allocation
// keeps running. It does nothing if the job is stopped, has ended or does not exist.
// It may be repeated. Errors are ErrUnavailable.
func (f *Fleet) Tag(ctx context.Context, s staging.Session) error {
	if s.User == nil {
		return nil
	}
	for range maxTagAttempts {
		done, err := f.tagOnce(ctx, s)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
	}
	return unavailable("tag job "+s.ID, errTagConflict)
}

// tagOnce is one attempt of Tag. done is false if somebody else changed the job
// meanwhile.
func (f *Fleet) tagOnce(ctx context.Context, s staging.Session) (done bool, err error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	switch {
	case notFound(err):
		return true, nil
	case err != nil:
		return false, unavailable("read job "+s.ID, err)
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
	if err != nil {
		return false, unavailable("register job "+s.ID+" with the user's tags", err)
	}
	return true, nil
}

// setUser writes a user to a service's tags and meta, and reports whether that changed
// them.
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

// sanitize replaces control characters with blanks and cuts text to limit bytes.
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
