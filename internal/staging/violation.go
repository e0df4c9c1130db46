package staging

import "fmt"

// Violation is a setting that no staged session can honour, because it takes effect when
// the container is created.
type Violation struct {
	// Setting is its name in the API.
	Setting string
	// Where names the resource that has the setting, for example `image "x"` or `group "y"`,
	// and the staging config that differs from it, if any.
	Where string
	// Kind is image, group or permission. Metrics use it as a label.
	Kind string
}

// String returns the violation as text for people.
func (v Violation) String() string { return v.Setting + " of " + v.Where }

// Violations returns the settings that keep a launch from every staged session of an image.
func Violations(i Image, s Settings) []Violation {
	found := imageViolations(i)
	for _, x := range []struct {
		setting string
		is      bool
	}{
		{settingExposeEnvironment, s.ExposeUserEnvironmentVars},
		{settingSSHKeys, s.InjectSSHKeys},
		{settingRunConfig, len(s.RunConfig) > 0},
		{settingVolumeMapping, len(s.VolumeMapping) > 0},
		{settingWebFilterPolicy, s.WebFilterPolicy != ""},
	} {
		if x.is {
			found = append(found, Violation{Setting: x.setting, Where: fmt.Sprintf("group %q", s.from[x.setting]), Kind: "group"})
		}
	}
	return found
}

func imageViolations(i Image) []Violation {
	var found []Violation
	add := func(setting string) {
		found = append(found, Violation{Setting: setting, Where: fmt.Sprintf("image %q", i.Name), Kind: "image"})
	}
	if i.PersistentProfilePath != "" {
		add(settingProfile)
	}
	for _, v := range i.VolumeMappings {
		if v.OfUser() {
			add(settingVolumeMappings)
			break
		}
	}
	return found
}

// PoolViolations returns the permissions in which a launch differs from a pool.
func PoolViolations(c Config, s Settings) []Violation {
	var found []Violation
	for _, x := range s.Permissions.Differences(c.Permissions) {
		where := fmt.Sprintf("staging config %q, which no group of the user sets", c.Name)
		if g, ok := s.from[string(x)]; ok {
			where = fmt.Sprintf("group %q, which differs from staging config %q", g, c.Name)
		}
		found = append(found, Violation{Setting: string(x), Where: where, Kind: "permission"})
	}
	return found
}
