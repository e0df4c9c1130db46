package nomadfleet

// ptr returns a pointer to v, for the optional fields of Nomad's API.
func ptr[T any](v T) *T { return &v }

// orNil returns a pointer to s, or nil for "".
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// deref returns *p, or the zero value for nil.
func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
