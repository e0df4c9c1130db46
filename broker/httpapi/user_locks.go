package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
)

// ListLockedUsers implements StrictServerInterface.
func (h *handlers) ListLockedUsers(ctx context.Context, _ ListLockedUsersRequestObject) (ListLockedUsersResponseObject, error) {
	all, err := h.broker.UserLocks.List(requestContext(ctx))
	if err != nil {
		return nil, err
	}
	return ListLockedUsers200JSONResponse{Items: each(all, userLock)}, nil
}

// LockUser implements StrictServerInterface.
func (h *handlers) LockUser(ctx context.Context, r LockUserRequestObject) (LockUserResponseObject, error) {
	// A client that hangs up does not cancel it: the lock and the ends of the sessions belong
	// together.
	locked, err := h.broker.UserLocks.Lock(context.WithoutCancel(requestContext(ctx)), access.UserLockRequest{UserID: r.Body.UserID, Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	lock := userLock(locked.UserLock)
	answer := LockedUserResult{
		UserID: lock.UserID, Reason: lock.Reason, LockedBy: lock.LockedBy, LockedAt: lock.LockedAt, SessionsEnded: lock.SessionsEnded,
		EndedSessions: each(locked.Ended, itself[string]), Ending: locked.Ending,
	}
	if locked.Made {
		return LockUser201JSONResponse(answer), nil
	}
	return LockUser200JSONResponse(answer), nil
}

// UnlockUser implements StrictServerInterface.
func (h *handlers) UnlockUser(ctx context.Context, r UnlockUserRequestObject) (UnlockUserResponseObject, error) {
	if err := h.broker.UserLocks.Unlock(requestContext(ctx), r.Params.UserID); err != nil {
		return nil, err
	}
	return UnlockUser204Response{}, nil
}

// userLock returns what callers see of a lock.
func userLock(l access.UserLock) LockedUser {
	return LockedUser{UserID: l.UserID, Reason: l.Reason, LockedBy: l.LockedBy, LockedAt: l.LockedAt, SessionsEnded: l.SessionsEnded}
}

// lockedOut is the answer to a caller whose user is locked.
func lockedOut(locked *access.LockedError) *problemError {
	return refuse(Code(refusal.UserLocked), "%v", locked)
}
