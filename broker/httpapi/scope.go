package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// within returns the broker as its callers see it: each reaches what its scope does, and a
// user that user's own sessions. All handlers work with this broker, so that none can forget
// to check. What a caller does not reach is answered as what does not exist; a launch or a
// change that names it is refused.
//
// The image and the zones of a launch are checked where they are looked up, in broker/launch.
func within(b Broker) Broker {
	zones := scopedResources[staging.Zone]{
		Resources: b.Zones, what: "zone", allows: access.Scope.AllowsZone,
		name: func(z staging.Zone) string { return z.Name }, names: namedByZone,
	}
	images := scopedResources[staging.Image]{
		Resources: b.Images, what: "image", allows: access.Scope.AllowsImage,
		name: func(i staging.Image) string { return i.Name }, names: namedByImage,
	}
	groups := scopedResources[staging.Group]{
		Resources: b.Groups, what: "group", allows: access.Scope.AllowsGroup,
		name: func(g staging.Group) string { return g.Name }, names: notDefault,
	}
	pools := scopedPools{b.Pools}
	// What stays as it is has operations of its own that are closed to callers with a scope.
	b.Launcher, b.Sessions = scopedLauncher{b.Launcher}, scopedSessions{b.Sessions}
	b.Zones, b.Images, b.Groups, b.Pools = zones, images, groups, pools
	b.Checker, b.Tokens = scopedChecker{b.Checker, zones, images, groups, pools}, scopedTokens{b.Tokens}
	b.Pauses = scopedPauses{b.Pauses, pools}
	b.Installation, b.Monitor = scopedInstallations{b.Installation}, scopedMonitor{b.Monitor, pools}
	return b
}

// scopeOf returns the scope of a call's caller.
func scopeOf(ctx context.Context) access.Scope { return callerOf(ctx).Scope }

// outOfScope refuses a field that names what the caller's scope does not reach.
func outOfScope(scope access.Scope, field, what string) *problemError {
	return refuseParameter(Code(refusal.Forbidden), field, fmt.Sprintf("%s: this token's scope is %s", what, scope))
}

// absent refuses what the caller does not reach, in the words for what does not exist.
func absent(what, name string) *problemError {
	return &problemError{code: Code(refusal.NotFound), denied: true, detail: fmt.Sprintf("there is no %s %q", what, name)}
}

// only returns what is kept of a list, which it does not change.
func only[T any](all []T, keep func(T) bool) []T {
	var kept []T
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// scopedLauncher launches for the users and groups of the caller's scope.
type scopedLauncher struct{ Launcher }

func (s scopedLauncher) Launch(ctx context.Context, r launch.Request) ([]launch.Result, error) {
	scope := scopeOf(ctx)
	if !scope.AllowsUser(r.User.ID) {
		return nil, outOfScope(scope, "user.id", fmt.Sprintf("must begin with %q", scope.UserPrefix))
	}
	if err := groupsWithin(scope, r.Groups); err != nil {
		return nil, err
	}
	r.Scope = scope
	results, err := s.Launcher.Launch(ctx, r)
	return results, withoutNames(scope, err)
}

func (s scopedLauncher) Launchable(ctx context.Context, r launch.For) ([]launch.Launchable, error) {
	r.Scope = scopeOf(ctx)
	if err := groupsWithin(r.Scope, r.Groups); err != nil {
		return nil, err
	}
	return s.Launcher.Launchable(ctx, r)
}

// groupsWithin refuses a user's groups that a scope does not reach.
func groupsWithin(scope access.Scope, groups []string) error {
	for i, group := range groups {
		if !scope.AllowsGroup(group) {
			return outOfScope(scope, fmt.Sprintf("groups[%d]", i), fmt.Sprintf("must not be %q", group))
		}
	}
	if len(scope.Groups) > 0 && len(groups) == 0 {
		// Without a group, none of their limits would hold.
		return outOfScope(scope, "groups", "must name at least one")
	}
	return nil
}

// withoutNames is a refusal for a caller with a scope, without the names of what may be outside it.
func withoutNames(scope access.Scope, err error) error {
	refused, ok := errors.AsType[*refusal.Error](err)
	if !ok || scope.IsZero() {
		return err
	}
	detail := map[refusal.Kind]string{
		refusal.SessionLimit: "the user has as many sessions as a limit allows at once, of which this token may not reach some; end one of them first",
		refusal.ProfileInUse: "the user's profile is in use by a session, which this token may not reach; end it, or launch with a longer wait",
		refusal.InUse:        "other resources, of which this token may not reach some, name it; delete or change those first",
	}[refused.Kind]
	if detail == "" {
		return err
	}
	out := &refusal.Error{Kind: refused.Kind, Detail: detail, RetryAfter: refused.RetryAfter}
	if l := refused.Limit; l != nil && (l.Kind == staging.KindImage || l.Kind == staging.KindZone) {
		// Of what the launch was tried with, which is within the scope.
		out.Limit = l
		if !l.OfUser() {
			out.Detail = fmt.Sprintf("%s allows %d at once, and %d are in use; end one, or have an administrator raise the limit", l, l.Max, l.InUse)
		}
	}
	return out
}

// scopedSessions are the sessions that the caller may see.
type scopedSessions struct{ Sessions }

func (s scopedSessions) Session(ctx context.Context, id string) (staging.Session, error) {
	found, err := s.Sessions.Session(ctx, id)
	return seen(ctx, found, err)
}

func (s scopedSessions) SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (staging.Session, uint64, error) {
	// A caller must not learn from a wait when another's session changes.
	if err := s.check(ctx, id); err != nil {
		return staging.Session{}, 0, err
	}
	found, next, err := s.Sessions.SessionAfter(ctx, id, index, wait)
	found, err = seen(ctx, found, err)
	return found, next, err
}

func (s scopedSessions) List(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	who := callerOf(ctx)
	if who.Role == access.User {
		if f.User != "" && f.User != who.Subject {
			// For a user, others' sessions do not exist.
			return staging.SessionPage{}, nil
		}
		f.User = who.Subject
	}
	if !who.SeesAll() {
		f.Only = who.Sees
	}
	return s.Sessions.List(ctx, f, after, limit)
}

func (s scopedSessions) Log(ctx context.Context, id string, r sessions.LogRequest) (staging.LogTail, error) {
	if err := s.check(ctx, id); err != nil {
		return staging.LogTail{}, err
	}
	return s.Sessions.Log(ctx, id, r)
}

func (s scopedSessions) End(ctx context.Context, id string) error {
	if err := s.check(ctx, id); err != nil {
		return err
	}
	return s.Sessions.End(ctx, id)
}

func (s scopedSessions) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	if err := s.check(ctx, id); err != nil {
		return staging.Session{}, err
	}
	return s.Sessions.Keepalive(ctx, id)
}

func (s scopedSessions) Extend(ctx context.Context, id string, r staging.ExtendBy) (staging.Session, error) {
	if err := s.check(ctx, id); err != nil {
		return staging.Session{}, err
	}
	return s.Sessions.Extend(ctx, id, r)
}

func (s scopedSessions) Run(ctx context.Context, id string, command staging.Hook) error {
	if err := s.check(ctx, id); err != nil {
		return err
	}
	return s.Sessions.Run(ctx, id, command)
}

// check refuses a session that the caller may not see.
func (s scopedSessions) check(ctx context.Context, id string) error {
	if callerOf(ctx).SeesAll() {
		return nil
	}
	_, err := s.Session(ctx, id)
	return err
}

// seen returns a session if the caller may see it. The refusal has the words for a session
// that does not exist.
func seen(ctx context.Context, s staging.Session, err error) (staging.Session, error) {
	if err != nil || callerOf(ctx).Sees(s) {
		return s, err
	}
	return staging.Session{}, notTheirs(s.ID)
}

// scopedResources are the resources of one kind that the caller's scope allows.
type scopedResources[T any] struct {
	Resources[T]
	what   string
	allows func(s access.Scope, name string) bool
	name   func(T) string
	// names refuses a value that names another resource which the scope does not reach.
	names func(access.Scope, T) error
}

func (r scopedResources[T]) List(ctx context.Context) ([]T, error) {
	all, err := r.Resources.List(ctx)
	scope := scopeOf(ctx)
	return only(all, func(v T) bool { return r.allows(scope, r.name(v)) }), err
}

func (r scopedResources[T]) Get(ctx context.Context, name string) (T, error) {
	if !r.allows(scopeOf(ctx), name) {
		var none T
		return none, absent(r.what, name)
	}
	return r.Resources.Get(ctx, name)
}

func (r scopedResources[T]) Put(ctx context.Context, v T) (stored T, created bool, err error) {
	if err := r.mayStore(scopeOf(ctx), v); err != nil {
		return stored, false, err
	}
	return r.Resources.Put(ctx, v)
}

func (r scopedResources[T]) Delete(ctx context.Context, name string) error {
	if !r.allows(scopeOf(ctx), name) {
		return absent(r.what, name)
	}
	return withoutNames(scopeOf(ctx), r.Resources.Delete(ctx, name))
}

// mayStore refuses a value that the scope does not reach, or that names what it does not.
func (r scopedResources[T]) mayStore(scope access.Scope, v T) error {
	if name := r.name(v); !r.allows(scope, name) {
		return outOfScope(scope, "name", fmt.Sprintf("must not be %q", name))
	}
	return r.names(scope, v)
}

func namedByZone(s access.Scope, z staging.Zone) error {
	what := fmt.Sprintf("zone %q", z.Name)
	return cmp.Or(known(what, "alternate_zones", "zone", z.AlternateZones, s.AllowsZone), known(what, "allowed_groups", "group", z.AllowedGroups, s.AllowsGroup))
}

func namedByImage(s access.Scope, i staging.Image) error {
	what := fmt.Sprintf("image %q", i.Name)
	return cmp.Or(known(what, "restrict_to_zones", "zone", i.RestrictToZones, s.AllowsZone), known(what, "allowed_groups", "group", i.AllowedGroups, s.AllowsGroup))
}

// notDefault refuses the default group, since it reaches all of the installation.
func notDefault(s access.Scope, g staging.Group) error {
	if g.Default && !s.IsZero() {
		return outOfScope(s, "default", "is for the users of all of the installation")
	}
	return nil
}

// known refuses a list of names with one that a scope does not allow, as one that does not exist.
func known(what, field, kind string, names []string, allows func(string) bool) error {
	for i, name := range names {
		if !allows(name) {
			return unknown(what, fmt.Sprintf("%s[%d]", field, i), kind, name)
		}
	}
	return nil
}

func unknown(what, field, kind, name string) error {
	return staging.Invalid(what, field, "is unknown: there is no %s %q; create it first", kind, name)
}

// scopedPools are the staging configs whose zone and image the caller's scope reaches.
type scopedPools struct{ Pools }

func (p scopedPools) List(ctx context.Context) ([]status.Pool, error) {
	all, err := p.Pools.List(ctx)
	scope := scopeOf(ctx)
	return only(all, func(p status.Pool) bool { return scope.AllowsPool(p.Config) }), err
}

func (p scopedPools) Get(ctx context.Context, name string) (status.Pool, error) {
	found, err := p.Pools.Get(ctx, name)
	if err == nil && !scopeOf(ctx).AllowsPool(found.Config) {
		return status.Pool{}, absent("staging config", name)
	}
	return found, err
}

func (p scopedPools) Put(ctx context.Context, c staging.Config) (status.Pool, bool, error) {
	if err := p.mayStore(ctx, c); err != nil {
		return status.Pool{}, false, err
	}
	return p.Pools.Put(ctx, c)
}

func (p scopedPools) Delete(ctx context.Context, name string) error {
	if err := p.check(ctx, name); err != nil {
		return err
	}
	return p.Pools.Delete(ctx, name)
}

func (p scopedPools) Recycle(ctx context.Context, name string, olderThan staging.Duration) (status.Pool, error) {
	if err := p.check(ctx, name); err != nil {
		return status.Pool{}, err
	}
	return p.Pools.Recycle(ctx, name, olderThan)
}

func (p scopedPools) Retry(ctx context.Context, name string) (status.Pool, error) {
	if err := p.check(ctx, name); err != nil {
		return status.Pool{}, err
	}
	return p.Pools.Retry(ctx, name)
}

// check refuses a staging config that the caller may not see.
func (p scopedPools) check(ctx context.Context, name string) error {
	if scopeOf(ctx).IsZero() {
		return nil
	}
	_, err := p.Get(ctx, name)
	return err
}

// mayStore refuses a staging config whose zone or image the caller's scope does not reach, and
// one that would replace another's.
func (p scopedPools) mayStore(ctx context.Context, c staging.Config) error {
	scope := scopeOf(ctx)
	what := fmt.Sprintf("staging config %q", c.Name)
	switch {
	case scope.IsZero():
		return nil
	case !scope.AllowsZone(c.Zone):
		return unknown(what, "zone", "zone", c.Zone)
	case !scope.AllowsImage(c.Image):
		return unknown(what, "image", "image", c.Image)
	}
	if stored, err := p.Pools.Get(ctx, c.Name); err == nil && !scope.AllowsPool(stored.Config) {
		return outOfScope(scope, "name", "is that of a staging config with another zone or image")
	} else if err != nil && problemOf(err).code != Code(refusal.NotFound) {
		return err
	}
	return nil
}

// scopedChecker checks sets of what the caller may store.
type scopedChecker struct {
	Checker
	zones  scopedResources[staging.Zone]
	images scopedResources[staging.Image]
	groups scopedResources[staging.Group]
	pools  scopedPools
}

func (c scopedChecker) Check(ctx context.Context, set admin.Set) error {
	scope := scopeOf(ctx)
	for list, errs := range map[string][]error{
		"zones":   each(set.Zones, func(z staging.Zone) error { return c.zones.mayStore(scope, z) }),
		"images":  each(set.Images, func(i staging.Image) error { return c.images.mayStore(scope, i) }),
		"groups":  each(set.Groups, func(g staging.Group) error { return c.groups.mayStore(scope, g) }),
		"staging": each(set.Configs, func(s staging.Config) error { return c.pools.mayStore(ctx, s) }),
		"webhooks": each(set.Webhooks, func(staging.Webhook) error {
			if scope.IsZero() {
				return nil
			}
			return outOfScope(scope, "name", "is that of a webhook, which reaches all of the installation")
		}),
	} {
		for n, err := range errs {
			if err != nil {
				return inSet(list, n, err)
			}
		}
	}
	return c.Checker.Check(ctx, set)
}

// inSet returns a refusal with its fields after their place in a set, such as zones[1].name.
func inSet(list string, n int, err error) error {
	p := *problemOf(err)
	if len(p.fields) == 0 {
		return err
	}
	p.fields = each(p.fields, func(f staging.FieldError) staging.FieldError {
		return staging.FieldError{Field: fmt.Sprintf("%s[%d].%s", list, n, f.Field), Message: f.Message}
	})
	p.detail = inWords("the set of resources is not valid", p.fields)
	return &p
}

// scopedInstallations show a caller with a scope nothing of other installations.
type scopedInstallations struct{ Installations }

func (i scopedInstallations) Get(ctx context.Context) (admin.InstallationInfo, error) {
	info, err := i.Installations.Get(ctx)
	if !scopeOf(ctx).IsZero() {
		info.Foreign = nil
	}
	return info, err
}

// scopedMonitor reports of the zones and pools that the caller's scope reaches.
type scopedMonitor struct {
	Monitor
	pools scopedPools
}

func (m scopedMonitor) Status(ctx context.Context) status.Status {
	return m.Monitor.Status(ctx).Within(scopeOf(ctx))
}

func (m scopedMonitor) History(ctx context.Context, name string, since time.Time) ([]staging.Minute, time.Time, error) {
	if err := m.pools.check(ctx, name); err != nil {
		return nil, time.Time{}, err
	}
	return m.Monitor.History(ctx, name, since)
}

func (m scopedMonitor) Forecast(ctx context.Context, name string) ([]staging.Forecast, error) {
	if err := m.pools.check(ctx, name); err != nil {
		return nil, err
	}
	return m.Monitor.Forecast(ctx, name)
}

// showsEvent reports whether an event is about what the caller reaches: b is the broker as the
// caller sees it. An error means that it is not known.
func showsEvent(ctx context.Context, b Broker, e staging.Event) (bool, error) {
	who := callerOf(ctx)
	var err error
	switch {
	case e.Type == staging.EventAudit:
		// Only administrators of the whole installation may see audit records.
		return access.Admins.Allows(who.Role) && access.Admins.Reaches(who.Scope), nil
	case who.SeesAll():
		return true, nil
	case e.Session != "":
		_, err = b.Sessions.Session(ctx, e.Session)
	case e.Pool != "":
		_, err = b.Pools.Get(ctx, e.Pool)
	default:
		return who.Scope.AllowsZone(e.Zone) && who.Scope.AllowsImage(e.Image) && who.Scope.AllowsUser(e.User), nil
	}
	if err != nil && problemOf(err).code == Code(refusal.NotFound) {
		return false, nil
	}
	return err == nil, err
}
