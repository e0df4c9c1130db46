package staging

import "time"

// maxIdleWarning is how long before the end of an idle session its user is warned; of a short
// term it is a fifth.
const maxIdleWarning = 5 * time.Minute

// IdleWarning returns how long before the end of an idle session its user is warned.
func (t Terms) IdleWarning() time.Duration { return min(maxIdleWarning, t.Idle.Std()/5) }

// IdleEndsAt returns when an assigned session ends unless it is used; zero for never. It ends no
// sooner than its user was warned.
func (s Session) IdleEndsAt() time.Time {
	if s.Terms.Idle == 0 || s.AssignedAt.IsZero() {
		return time.Time{}
	}
	end := s.usedAt().Add(s.Terms.Idle.Std())
	if warned := s.IdleWarnedAt.Add(s.Terms.IdleWarning()); s.idleWarned() && warned.After(end) {
		return warned
	}
	return end
}

// idleWarned reports whether the user was warned since the last use.
func (s Session) idleWarned() bool { return s.IdleWarnedAt.After(s.usedAt()) }

// IdleDue returns when an assigned session needs a look because it is idle: to warn its user, or
// to end it; zero for never.
func (s Session) IdleDue() time.Time {
	end := s.IdleEndsAt()
	if end.IsZero() || s.idleWarned() {
		return end
	}
	return end.Add(-s.Terms.IdleWarning())
}

// UnvisitedEndsAt returns when an assigned session ends unless its user opens it; zero for never,
// and where it is not known that the user has not.
func (s Session) UnvisitedEndsAt() time.Time {
	if s.Terms.Unvisited == 0 || !s.Unvisited || s.AssignedAt.IsZero() {
		return time.Time{}
	}
	return s.AssignedAt.Add(s.Terms.Unvisited.Std())
}
