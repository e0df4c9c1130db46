package refusal

// Locked refuses because an administrator has locked the user out; err names the user.
func Locked(err error) *Error {
	return &Error{Kind: UserLocked, Detail: err.Error(), Cause: err}
}
