package staging

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// FieldError says what is wrong with one field and, if possible, what to write instead.
type FieldError struct {
	// Field is the path of the field in the API and in HCL files, for example
	// "desired_sessions" or "exec_config.assign.timeout".
	Field string `json:"field"`
	// Message is for a person; it does not repeat the field's name.
	Message string `json:"message"`
}

// InvalidError has every FieldError of one value, so that a caller can correct all of them
// at once.
type InvalidError struct {
	// What names the invalid value, for example `staging config "demo-east"`.
	What   string
	Fields []FieldError
}

// Error implements error.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	return fmt.Sprintf("%s is not valid: %s", e.What, strings.Join(parts, "; "))
}

// Invalid returns an InvalidError about one field.
func Invalid(what, field, format string, args ...any) *InvalidError {
	return &InvalidError{What: what, Fields: []FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}}}
}

// AllInvalid returns one *InvalidError with everything that several checks of one value found,
// once a field, so that all of it is known at once. Only where none found a field wrong it
// returns their first error of another kind, or nil.
func AllInvalid(checks ...error) error {
	all := &InvalidError{}
	var other error
	for _, err := range checks {
		var invalid *InvalidError
		switch {
		case err == nil:
		case errors.As(err, &invalid):
			all.What = cmp.Or(all.What, invalid.What)
			for _, f := range invalid.Fields {
				// What a second check finds at a field most often follows from the first.
				if !slices.ContainsFunc(all.Fields, func(g FieldError) bool { return g.Field == f.Field }) {
					all.Fields = append(all.Fields, f)
				}
			}
		case other == nil:
			other = err
		}
	}
	if len(all.Fields) > 0 {
		return all
	}
	return other
}

// problems collects field errors while a value is checked.
type problems []FieldError

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p problems) err(what string) error {
	if len(p) == 0 {
		return nil
	}
	return &InvalidError{What: what, Fields: p}
}

// MaxNameLength is the longest name of a zone, an image or a staging config. The name of a
// Consul service contains that of a staging config ("greenroom-pool-NAME") and must fit in
// MaxServiceName.
const MaxNameLength = 48

// MaxServiceName is the longest name of a Consul service: a DNS label, which RFC 1035 limits
// to 63 octets. Nomad refuses a job with a longer one.
const MaxServiceName = 63

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// ValidateName checks a resource name. It must be a DNS label (RFC 1123: lower-case letters,
// digits and inner dashes) of at most MaxNameLength octets.
func ValidateName(name string) error {
	var p problems
	p.name("name", name)
	return p.err(fmt.Sprintf("name %q", name))
}

func (p *problems) name(field, name string) {
	if why := NameProblem(name); why != "" {
		p.add(field, "%s", why)
	}
}

// NameProblem returns what is wrong with the name of a resource, or of what resources name; "" if
// it can be used.
func NameProblem(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case len(name) > MaxNameLength:
		return fmt.Sprintf("must be at most %d characters, is %d", MaxNameLength, len(name))
	case !dnsLabel.MatchString(name):
		return fmt.Sprintf("must be a DNS label (lower-case letters, digits and inner dashes), is %q", name)
	}
	return ""
}

// text refuses a NUL byte, which no environment variable or argument can have.
func (p *problems) text(field, value string) {
	if strings.ContainsRune(value, 0) {
		p.add(field, "must not hold a NUL byte: no environment variable or argument can carry one")
	}
}
