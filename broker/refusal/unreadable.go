package refusal

import "github.com/greenroom/greenroom/internal/staging"

// Unreadable refuses a call that needs a resource of which nothing is known, because it is
// stored and cannot be read. It returns nil if the resource is known, or does not exist.
func Unreadable(res staging.Resources, kind staging.ResourceKind, name string) error {
	if u, found := res.UnreadableOf(kind, name); found && !u.Kept {
		return &Error{Kind: ResourceUnreadable, Detail: u.String()}
	}
	return nil
}

// UnreadableDefault refuses a launch of a user without a group if the default group may be one
// of which nothing is known: without it the user would have no limits.
func UnreadableDefault(res staging.Resources) error {
	if _, known := res.DefaultGroup(); known {
		return nil
	}
	for _, u := range res.Unreadable {
		if u.MayBeDefault && !u.Kept {
			return &Error{Kind: ResourceUnreadable, Detail: u.String() + "; it may be the default group, and the user has no other"}
		}
	}
	return nil
}
