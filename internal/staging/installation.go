package staging

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Installation is the identity of one greenroom: all scalers and brokers that share a
// prefix in Consul and one in Redis. Every job that it creates carries its id.
type Installation struct {
	// ID is random, and is stored in Consul when the first agent starts.
	ID string `json:"id"`
	// Adopted are the ids of other installations whose jobs an administrator took over.
	// NoInstallation stands for the jobs without an id.
	Adopted []string `json:"adopted,omitempty"`
	// CreatedAt is when the id was stored.
	CreatedAt time.Time `json:"created_at"`
}

// NoInstallation stands for the missing id of a job that was created before installations
// had ids, or by hand.
const NoInstallation = "none"

// installationIDPrefix begins every installation's id.
const installationIDPrefix = "gi-"

// NewInstallationID returns a random id.
func NewInstallationID() string { return installationIDPrefix + NewClaimID() }

// Owns reports whether jobs with an installation's id belong to i: its own, and those that
// were taken over. "" is the id of a job without one.
func (i Installation) Owns(id string) bool {
	if id == "" {
		id = NoInstallation
	}
	return id == i.ID || slices.Contains(i.Adopted, id)
}

// TookOver reports whether jobs with an installation's id belong to i because they were
// taken over.
func (i Installation) TookOver(id string) bool { return id != i.ID && i.Owns(id) }

var installationID = regexp.MustCompile(`^` + installationIDPrefix + `[0-9a-z]{26}$`)

// ValidateInstallationID checks the id of an installation that is to be taken over.
func ValidateInstallationID(id string) error {
	if id == NoInstallation || installationID.MatchString(id) {
		return nil
	}
	return Invalid("installation", "id", "must be an id such as gi-01jd9q5r2v7c8k3m4n6p0s1t2x, or %s for sessions without one, is %q", NoInstallation, id)
}

// Foreign is how many sessions of another installation run in Nomad.
type Foreign struct {
	// Installation is its id, NoInstallation for jobs without one.
	Installation string `json:"installation"`
	Sessions     int    `json:"sessions"`
}

// Names derives every name that an installation uses in Consul and Redis from its two
// prefixes. Installations that share a server must differ in that server's prefix.
type Names struct {
	// Consul begins the keys ("greenroom/...") and the names of services
	// ("greenroom-pool-...") in Consul.
	Consul string
	// Redis begins the keys in Redis ("greenroom:...").
	Redis string
}

// DefaultPrefix is the prefix of an installation whose configuration names none.
const DefaultPrefix = "greenroom"

// DefaultNames are the names of an installation whose configuration names no prefix.
var DefaultNames = Names{Consul: DefaultPrefix, Redis: DefaultPrefix}

// KV returns the prefix of the keys in Consul.
func (n Names) KV() string { return n.Consul + "/" }

// Keys returns the prefix of the keys in Redis.
func (n Names) Keys() string { return n.Redis + ":" }

// Service returns the name under which the installation has a service, or a node, in
// Consul. The argument is its name in an installation with the default prefix, as
// PoolService and others return it.
func (n Names) Service(name string) string {
	return n.Consul + strings.TrimPrefix(name, DefaultPrefix)
}

// maxPrefixLength keeps the name of a pool's service within the 63 octets of a DNS label,
// for all names up to MaxNameLength.
const maxPrefixLength = len(DefaultPrefix)

// serviceKinds follow the prefix in the names of services. No prefix may contain them, or
// "a" with the pool "pool-b" and "a-pool" with the pool "b" would share a service.
var serviceKinds = []string{"pool", "on-demand", "staging", "sessions", "scaler", "broker"}

// PrefixProblem returns why a text cannot be the prefix of an installation's names, or ""
// if it can.
func PrefixProblem(prefix string) string {
	switch {
	case !dnsLabel.MatchString(prefix):
		return fmt.Sprintf("must be lower-case letters, digits and inner dashes, is %q", prefix)
	case len(prefix) > maxPrefixLength:
		return fmt.Sprintf("must be at most %d characters, so that the names of services fit in a DNS label, is %d", maxPrefixLength, len(prefix))
	}
	for _, kind := range serviceKinds {
		if strings.Contains(prefix+"-", "-"+kind+"-") {
			return fmt.Sprintf("must not contain -%s, because the names of greenroom's own services do", kind)
		}
	}
	return ""
}

// ForeignError means that a server's data belongs to another installation.
type ForeignError struct {
	// Server is the server's name, and At says which part of it.
	Server, At string
	// Installation is the one that the data belongs to. Ours is this one; "" if Consul has
	// none.
	Installation, Ours string
}

// Error implements error. It says what to do.
func (e *ForeignError) Error() string {
	if e.Ours == "" {
		return fmt.Sprintf("Consul has no installation, but %s (%s) belongs to installation %s: if Consul lost its data, run greenroom installation recover %s, "+
			"which needs no broker; if this %s is another installation's, use one of your own, or another --redis-prefix",
			e.Server, e.At, e.Installation, e.Installation, e.Server)
	}
	return fmt.Sprintf("%s (%s) belongs to installation %s, and Consul to installation %s: point both settings to the servers of one installation, or use another --redis-prefix or --consul-prefix; "+
		"if Consul lost its data and both are yours, run greenroom installation recover %s, which needs no broker",
		e.Server, e.At, e.Installation, e.Ours, e.Installation)
}
