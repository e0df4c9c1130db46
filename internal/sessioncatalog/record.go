package sessioncatalog

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Keys of an instance's meta.
const (
	metaSession  = "greenroom_session"
	metaUserID   = "greenroom_user_id"
	metaUserName = "greenroom_user_name"
	metaZone     = "greenroom_zone"
	metaImage    = "greenroom_image"
	metaStaging  = "greenroom_staging"
	metaNode     = "greenroom_nomad_node"
	metaAlloc    = "greenroom_alloc"
	metaAssigned = "greenroom_assigned_at"
)

const (
	// maxMetaValue is Consul's limit for a value of a service's meta, in bytes.
	maxMetaValue = 512
	// maxTag is greenroom's own limit; Consul has none for tags.
	maxTag = 255
)

// checkName is the name of an instance's check in Consul. Its id is the session's.
const checkName = "the session's own checks"

// record identifies what Consul has of an entry: digests of its instance and of the
// instance's check. The zero value is nothing.
type record struct{ instance, check [sha256.Size]byte }

// recordOf returns the record of an assignment once it is written. before is what Consul
// has of it until then.
func recordOf(names Names, a staging.Assignment, before record) record {
	r := record{instance: digest(instanceOf(names, a)), check: before.check}
	if check := checkOf(names, a); check != nil {
		r.check = digestCheck(check)
	}
	return r
}

// recordIn returns the record of an entry that Consul has.
func recordIn(e *api.ServiceEntry) record {
	r := record{instance: digest(e.Service)}
	for _, check := range e.Checks {
		if check.CheckID == e.Service.ID {
			r.check = digestCheck(check)
		}
	}
	return r
}

func digest(s *api.AgentService) [sha256.Size]byte {
	b, err := json.Marshal(struct {
		Service, Address string
		Port             int
		Tags             []string
		Meta             map[string]string
	}{s.Service, s.Address, s.Port, s.Tags, s.Meta})
	if err != nil {
		panic("sessioncatalog: strings and numbers cannot be encoded: " + err.Error())
	}
	return sha256.Sum256(b)
}

func digestCheck(c *api.HealthCheck) [sha256.Size]byte {
	return sha256.Sum256([]byte(c.Status + "\x00" + c.Output))
}

// instanceOf returns an assigned session's instance in the catalog.
func instanceOf(names Names, a staging.Assignment) *api.AgentService {
	s := &api.AgentService{
		ID: a.Session, Service: names.Service, Address: a.Address, Port: a.Port,
		Tags: []string{"greenroom", "zone=" + a.Zone, "image=" + a.Image},
		Meta: map[string]string{
			metaSession: a.Session, metaZone: a.Zone, metaImage: a.Image, metaNode: a.NodeID, metaAlloc: a.AllocID,
			metaUserID: sanitize(a.User.ID, maxMetaValue), metaUserName: sanitize(a.User.Name, maxMetaValue),
		},
		Weights: api.AgentWeights{Passing: 1, Warning: 1},
	}
	if a.Staging != "" {
		s.Tags = append(s.Tags, "staging="+a.Staging)
		s.Meta[metaStaging] = a.Staging
	}
	s.Tags = append(s.Tags, sanitize("user="+a.User.ID, maxTag))
	if !a.AssignedAt.IsZero() {
		s.Meta[metaAssigned] = a.AssignedAt.UTC().Format(time.RFC3339)
	}
	return s
}

// checkOf returns the check of an assigned session's instance; nil while the session's
// own checks are not known.
func checkOf(names Names, a staging.Assignment) *api.HealthCheck {
	if !a.ChecksKnown {
		return nil
	}
	c := &api.HealthCheck{
		Node: names.Node, CheckID: a.Session, Name: checkName, ServiceID: a.Session, ServiceName: names.Service,
		Status: api.HealthPassing, Output: "the checks of the session's own service pass",
	}
	if !a.Passing {
		c.Status, c.Output = api.HealthCritical, "the checks of the session's own service fail, or Nomad does not report that it runs"
		if !a.UnhealthySince.IsZero() {
			c.Output += ", since " + a.UnhealthySince.UTC().Format(time.RFC3339)
		}
	}
	return c
}

// sanitize replaces control characters with blanks and cuts text to limit bytes. It returns
// valid UTF-8, because Consul returns nothing else and the text is compared with that.
func sanitize(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	for len(text) > limit {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}
