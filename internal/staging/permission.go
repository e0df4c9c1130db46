package staging

import (
	"maps"
	"slices"
	"strings"
)

// Permission names something that a session allows its user to do. It is fixed when the
// session's container is created, so all sessions of a pool have the same permissions.
type Permission string

// The permissions.
const (
	AllowAudio         Permission = "allow_audio"
	AllowClipboardDown Permission = "allow_clipboard_down"
	AllowClipboardUp   Permission = "allow_clipboard_up"
	AllowDownloads     Permission = "allow_downloads"
	AllowUploads       Permission = "allow_uploads"
	AllowMicrophone    Permission = "allow_microphone"
	AllowWebcam        Permission = "allow_webcam"
	AllowGamepad       Permission = "allow_gamepad"
	AllowPrinting      Permission = "allow_printing"
)

// permissionDefaults apply to permissions that are not set.
var permissionDefaults = map[Permission]bool{
	AllowAudio: true, AllowClipboardDown: true, AllowClipboardUp: true, AllowDownloads: true, AllowUploads: true,
	AllowMicrophone: false, AllowWebcam: false, AllowGamepad: false, AllowPrinting: false,
}

// AllPermissions lists all permissions, sorted by name.
var AllPermissions = slices.Sorted(maps.Keys(permissionDefaults))

// Permissions are the permissions that are set; the others have their defaults.
type Permissions map[Permission]bool

// Allows returns the value of a permission, or its default if it is not set.
func (p Permissions) Allows(x Permission) bool {
	if v, set := p[x]; set {
		return v
	}
	return permissionDefaults[x]
}

// Differences returns the permissions in which p and other differ, sorted by name.
func (p Permissions) Differences(other Permissions) []Permission {
	var found []Permission
	for _, x := range AllPermissions {
		if p.Allows(x) != other.Allows(x) {
			found = append(found, x)
		}
	}
	return found
}

// environment adds the variables that show the permissions to a session's programs:
// GREENROOM_ALLOW_AUDIO and so on, each true or false.
func (p Permissions) environment(env map[string]string) {
	for _, x := range AllPermissions {
		value := "false"
		if p.Allows(x) {
			value = "true"
		}
		env["GREENROOM_"+strings.ToUpper(string(x))] = value
	}
}

// Permits returns the permissions as one short text. Two Permissions that allow the same
// have the same text.
func (p Permissions) Permits() string {
	b := make([]byte, len(AllPermissions))
	for i, x := range AllPermissions {
		b[i] = '-'
		if p.Allows(x) {
			b[i] = 'y'
		}
	}
	return string(b)
}

// permitted is the inverse of Permits. ok is false for a text of another version's, whose
// permissions are not known.
func permitted(text string) (p Permissions, ok bool) {
	if len(text) != len(AllPermissions) {
		return nil, false
	}
	p = Permissions{}
	for i, x := range AllPermissions {
		p[x] = text[i] == 'y'
	}
	return p, true
}

// canonical returns p with every permission set, so that equal permissions hash equally.
func (p Permissions) canonical() map[Permission]bool {
	all := maps.Clone(permissionDefaults)
	maps.Copy(all, p)
	return all
}

func (p *problems) permissions(field string, given Permissions) {
	for x := range given {
		if _, known := permissionDefaults[x]; !known {
			p.add(field+"."+string(x), "is not a permission; they are %s", Joined(AllPermissions))
		}
	}
}

// Joined returns names as a list in a sentence, with commas between them.
func Joined[S ~string](list []S) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = string(s)
	}
	return strings.Join(parts, ", ")
}
