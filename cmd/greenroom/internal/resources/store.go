package resources

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/staging"
)

// unfinishedError means that a change failed; those in left were not made.
type unfinishedError struct {
	cause error
	made  int
	left  []change
}

// Error implements error.
func (e *unfinishedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n  changes made: %d; not made:", e.cause, e.made)
	for _, ch := range e.left {
		fmt.Fprintf(&b, "\n    %s %s %q", ch.Action, ch.Kind, ch.Name)
	}
	b.WriteString("\n  apply again to make them: what is done already is left alone")
	return b.String()
}

// Unwrap returns the cause.
func (e *unfinishedError) Unwrap() error { return e.cause }

// makeChanges makes the changes in their order, and calls made after each. It stops at the
// first that fails, with an error that lists those that were not made.
func makeChanges(ctx context.Context, c *client.Client, all []change, made func(change)) error {
	for i, ch := range all {
		if err := makeChange(ctx, c, ch); err != nil {
			return &unfinishedError{
				cause: fmt.Errorf("%s %q: %w", ch.Kind, ch.Name, err),
				made:  len(pending(all[:i])), left: pending(all[i:]),
			}
		}
		made(ch)
	}
	return nil
}

// makeChange makes one change.
func makeChange(ctx context.Context, c *client.Client, ch change) error {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	if ch.Action == actionDelete {
		return removeResource(ctx, c, ch.Kind, ch.Name)
	}
	var (
		r   client.Response
		err error
	)
	switch v := ch.resource.(type) {
	case nil:
		return nil
	case staging.Zone:
		r, err = c.PutZoneWithResponse(ctx, v.Name, v)
	case staging.Image:
		r, err = c.PutImageWithResponse(ctx, v.Name, v)
	case staging.Group:
		r, err = c.PutGroupWithResponse(ctx, v.Name, v)
	case staging.Config:
		r, err = c.PutStagingWithResponse(ctx, v.Name, v)
	case staging.Webhook:
		r, err = c.PutWebhookWithResponse(ctx, v.Name, v)
	default:
		return fmt.Errorf("cannot store a resource of type %T", v)
	}
	return c.Answered(r, err, http.StatusOK, http.StatusCreated)
}

// removeResource deletes a resource. It is no error if there is none.
func removeResource(ctx context.Context, c *client.Client, kind, name string) error {
	err := Delete(ctx, c, kind, name)
	var refused *client.ProblemError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// Delete deletes a resource of a kind, which is the word for it in a resource file.
func Delete(ctx context.Context, c *client.Client, kind, name string) error {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	var (
		r   client.Response
		err error
	)
	switch kind {
	case blockZone:
		r, err = c.DeleteZoneWithResponse(ctx, name)
	case blockImage:
		r, err = c.DeleteImageWithResponse(ctx, name)
	case blockGroup:
		r, err = c.DeleteGroupWithResponse(ctx, name)
	case blockWebhook:
		r, err = c.DeleteWebhookWithResponse(ctx, name)
	default:
		r, err = c.DeleteStagingWithResponse(ctx, name)
	}
	return c.Answered(r, err, http.StatusNoContent)
}

// Store creates and changes resources in the broker until it has the set. It deletes
// nothing.
func (s Set) Store(ctx context.Context, c *client.Client) error {
	there, err := s.storedBy(ctx, c)
	if err != nil {
		return err
	}
	return makeChanges(ctx, c, s.changes(there, nil, false), func(change) {})
}
