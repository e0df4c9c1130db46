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
