package kasmapi

import (
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// Operational statuses of a kasm.
const (
	statusStarting = "starting"
	statusRunning  = "running"
)

// kasm is a user's session, as this API shows it.
type kasm struct {
	// userName is the name that its user's launch gave, which no answer has.
	userName string

	KasmID              string          `json:"kasm_id"`
	UserID              string          `json:"user_id"`
	User                kasmUser        `json:"user"`
	ImageID             string          `json:"image_id"`
	Image               kasmImage       `json:"image"`
	OperationalStatus   string          `json:"operational_status"`
	OperationalProgress int             `json:"operational_progress"`
	OperationalMessage  string          `json:"operational_message"`
	ServerID            *string         `json:"server_id"`
	Host                *string         `json:"host"`
	Hostname            *string         `json:"hostname"`
	ContainerIP         *string         `json:"container_ip"`
	Port                *int            `json:"port"`
	PortMap             map[string]port `json:"port_map"`
	ContainerID         *string         `json:"container_id"`
	CreatedDate         any             `json:"created_date"`
	StartDate           any             `json:"start_date"`
	KeepaliveDate       any             `json:"keepalive_date"`
	ExpirationDate      any             `json:"expiration_date"`
	// Token is nil: what opens a session is shown to its launch alone.
	Token           *string `json:"token"`
	ShareID         *string `json:"share_id"`
	ZoneID          string  `json:"zone_id"`
	ZoneName        string  `json:"zone_name"`
	IsStandby       bool    `json:"is_standby"`
	StagingConfigID *string `json:"staging_config_id"`
}

// kasmUser is a session's user.
type kasmUser struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
}

// kasmImage is a session's image.
type kasmImage struct {
	ImageID      string `json:"image_id"`
	Name         string `json:"name"`
	FriendlyName string `json:"friendly_name"`
}

// port is where one of a session's ports is.
type port struct {
	Port int    `json:"port"`
	Path string `json:"path"`
}

// kasmOf returns a session as this API shows it. ok is false if it is not a user's, or is over.
func kasmOf(s httpapi.Session) (k kasm, ok bool) {
	id, ok := sessionID(s.ID)
	if !ok || s.User == nil || s.State.Over() {
		return k, false
	}
	p := progressOf(s)
	user, image := userID(s.User.ID).String(), imageKind.id(s.Image).String()
	k = kasm{
		userName: s.User.Name,
		KasmID:   id.String(), UserID: user, User: kasmUser{user, s.User.ID}, ImageID: image, Image: kasmImage{image, s.Image, s.Image},
		OperationalStatus: p.status, OperationalProgress: p.percent, OperationalMessage: p.message,
		ServerID: given(s.NodeID), Host: given(s.Address), Hostname: given(s.Address), ContainerIP: given(s.Address), ContainerID: given(s.AllocID),
		PortMap:     map[string]port{},
		CreatedDate: at(s.CreatedAt), StartDate: at(s.AssignedAt), KeepaliveDate: at(later(s.AssignedAt, s.KeepaliveAt)), ExpirationDate: at(sooner(s.EndsAt, s.KeepaliveUntil)),
		ZoneID: zoneKind.id(s.Zone).String(), ZoneName: s.Zone,
	}
	for label, n := range s.Ports {
		k.PortMap[label] = port{Port: n}
	}
	if n, ok := s.Ports[staging.DefaultPort]; ok {
		k.Port = &n
	}
	if s.Staging != "" {
		k.StagingConfigID = given(configKind.id(s.Staging).String())
	}
	return k, true
}

// progress is how far a session is on its way to its user.
type progress struct {
	status  string
	percent int
	message string
}

func progressOf(s httpapi.Session) progress {
	switch s.State {
	case staging.Assigned:
		return progress{statusRunning, 100, "running"}
	case staging.Pending:
		return progress{statusStarting, 10, "waiting for its place on a node"}
	case staging.Claimed:
		return progress{statusStarting, 90, "being given to its user"}
	case staging.Starting:
		if s.FailingCheck.Name != "" {
			return progress{statusStarting, 50, "starting: its check " + s.FailingCheck.Name + " does not pass yet"}
		}
		return progress{statusStarting, 50, "starting: its checks do not pass yet"}
	}
	return progress{string(s.State), 0, string(s.State)}
}

// given returns a text, or nil for an empty one.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// sooner returns the first of two times; one that is zero never comes.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
