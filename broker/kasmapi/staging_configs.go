package kasmapi

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// permissionPrefix begins the fields of permissions, where greenroom's begin with "allow_".
const permissionPrefix = "allow_kasm_"

// permissionField returns the field of a permission.
func permissionField(p staging.Permission) string {
	return permissionPrefix + strings.TrimPrefix(string(p), "allow_")
}

// maxHours is the longest expiration that a request may ask for: a century.
const maxHours = 24 * 365 * 100

// stagingConfig returns a staging config as this API shows it.
func stagingConfig(p httpapi.StagingPool) map[string]any {
	shown := map[string]any{
		"staging_config_id": configKind.id(p.Name).String(),
		"zone_id":           zoneKind.id(p.Zone).String(), "zone_name": p.Zone,
		"image_id": imageKind.id(p.Image).String(), "image_friendly_name": p.Image,
		"num_sessions": p.DesiredSessions, "num_current_sessions": p.CurrentSessions,
		// In hours; 0 for none.
		"expiration": p.Expiration.Std().Hours(),
	}
	for _, x := range staging.AllPermissions {
		shown[permissionField(x)] = p.Permissions.Allows(x)
	}
	return shown
}

// targetConfig are the fields of a staging config in a request; nil for those that are not there.
type targetConfig struct {
	id, zone, image          uuid
	hasID, hasZone, hasImage bool
	sessions                 *int
	hours                    *float64
	permissions              map[staging.Permission]bool
}

// targetConfigIn reads the fields of a staging config.
func targetConfigIn(f *fields) targetConfig {
	of := f.object("target_staging_config")
	var t targetConfig
	t.id, t.hasID = of.id("staging_config_id")
	t.zone, t.hasZone = of.id("zone_id")
	t.image, t.hasImage = of.id("image_id")
	t.sessions, t.hours, t.permissions = of.whole("num_sessions"), of.number("expiration"), map[staging.Permission]bool{}
	if t.hours != nil && *t.hours > maxHours {
		of.fail("expiration", "must be at most %d hours, is %v", maxHours, *t.hours)
	}
	for _, x := range staging.AllPermissions {
		if allowed := of.flag(permissionField(x)); allowed != nil {
			t.permissions[x] = *allowed
		}
	}
	// A client may send back what it was answered with.
	of.take("num_current_sessions")
	of.take("zone_name")
	of.take("image_friendly_name")
	return t
}

// onlyID reads the fields of a request about a staging config that has nothing but its id.
func onlyID(f *fields) uuid { return f.object("target_staging_config").needed("staging_config_id") }

// changed returns a config with what a request changes.
func (c *call) changed(of staging.Config, t targetConfig) (staging.Config, error) {
	var err error
	if t.hasZone {
		if of.Zone, err = c.named(zoneKind, t.zone, "target_staging_config.zone_id", "/v1/zones"); err != nil {
			return of, err
		}
	}
	if t.hasImage {
		if of.Image, err = c.named(imageKind, t.image, "target_staging_config.image_id", "/v1/images"); err != nil {
			return of, err
		}
	}
	if t.sessions != nil {
		of.DesiredSessions = *t.sessions
	}
	if t.hours != nil {
		of.Expiration = staging.Duration(*t.hours * float64(time.Hour))
	}
	permissions := staging.Permissions{}
	for _, x := range staging.AllPermissions {
		if allowed, set := t.permissions[x]; set {
			permissions[x] = allowed
		} else if allowed, set := of.Permissions[x]; set {
			permissions[x] = allowed
		}
	}
	of.Permissions = permissions
	return of, nil
}

// put stores a config, and returns it as this API shows it.
func (c *call) put(config staging.Config) (any, error) {
	var stored httpapi.StagingPool
	if err := c.do(http.MethodPut, "/v1/staging/"+url.PathEscape(config.Name), config, &stored); err != nil {
		return nil, err
	}
	return map[string]any{"staging_config": stagingConfig(stored)}, nil
}

// createStagingConfig stores a new staging config, under a name that it makes: requests have none.
func createStagingConfig(c *call, f *fields) (any, error) {
	t := targetConfigIn(f)
	if t.hasID {
		f.fail("target_staging_config.staging_config_id", "is made here: leave it out")
	}
	switch {
	case !t.hasZone:
		f.fail("target_staging_config.zone_id", "must be sent")
	case !t.hasImage:
		f.fail("target_staging_config.image_id", "must be sent")
	case t.sessions == nil:
		f.fail("target_staging_config.num_sessions", "must be sent")
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	config, err := c.changed(staging.Config{}, t)
	if err != nil {
		return nil, err
	}
	// The ending keeps it from being that of another config, which a put would replace.
	const ending = 8
	name := config.Image[:min(len(config.Image), staging.MaxNameLength-ending-1)]
	config.Name = strings.TrimRight(name, "-") + "-" + strings.ToLower(rand.Text()[:ending])
	return c.put(config)
}

// pool reads the staging config that an id means.
func (c *call) pool(id uuid) (p httpapi.StagingPool, err error) {
	name, err := c.named(configKind, id, "target_staging_config.staging_config_id", "/v1/staging")
	if err != nil {
		return p, err
	}
	return p, c.do(http.MethodGet, "/v1/staging/"+url.PathEscape(name), nil, &p)
}

// getStagingConfig shows a staging config.
func getStagingConfig(c *call, f *fields) (any, error) {
	id := onlyID(f)
	if err := f.end(); err != nil {
		return nil, err
	}
	p, err := c.pool(id)
	return map[string]any{"staging_config": stagingConfig(p)}, err
}

// getStagingConfigs lists the staging configs.
func getStagingConfigs(c *call, f *fields) (any, error) {
	if err := f.end(); err != nil {
		return nil, err
	}
	pools, err := all[httpapi.StagingPool](c, "/v1/staging", "")
	shown := []map[string]any{}
	for _, p := range pools {
		shown = append(shown, stagingConfig(p))
	}
	return map[string]any{"staging_configs": shown}, err
}

// updateStagingConfig changes the fields of a staging config that are sent.
func updateStagingConfig(c *call, f *fields) (any, error) {
	t := targetConfigIn(f)
	if !t.hasID {
		f.fail("target_staging_config.staging_config_id", "must be sent")
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	p, err := c.pool(t.id)
	if err != nil {
		return nil, err
	}
	config, err := c.changed(p.Config(), t)
	if err != nil {
		return nil, err
	}
	return c.put(config)
}

// deleteStagingConfig deletes a staging config.
func deleteStagingConfig(c *call, f *fields) (any, error) {
	id := onlyID(f)
	if err := f.end(); err != nil {
		return nil, err
	}
	p, err := c.pool(id)
	if err != nil {
		return nil, err
	}
	return struct{}{}, c.do(http.MethodDelete, "/v1/staging/"+url.PathEscape(p.Name), nil, nil)
}
