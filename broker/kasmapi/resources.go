package kasmapi

import (
	"github.com/greenroom/greenroom/broker/httpapi"
)

// image is an image, as this API shows it.
type image struct {
	ImageID        string  `json:"image_id"`
	Name           string  `json:"name"`
	FriendlyName   string  `json:"friendly_name"`
	Description    string  `json:"description"`
	Enabled        bool    `json:"enabled"`
	Available      bool    `json:"available"`
	ImageSrc       string  `json:"image_src"`
	RestrictToZone bool    `json:"restrict_to_zone"`
	ZoneID         *string `json:"zone_id"`
	ZoneName       *string `json:"zone_name"`
	// SessionTimeLimit is in seconds; nil for none.
	SessionTimeLimit *int `json:"session_time_limit"`
}

// getImages lists the images that the token reaches.
func getImages(c *call, f *fields) (any, error) {
	if err := f.end(); err != nil {
		return nil, err
	}
	stored, err := all[httpapi.Image](c, "/v1/images", "")
	images := []image{}
	for _, i := range stored {
		shown := image{
			ImageID: imageKind.id(i.Name).String(), Name: i.Name, FriendlyName: i.Name, Enabled: i.IsEnabled(), Available: i.IsEnabled(),
			RestrictToZone: len(i.RestrictToZones) > 0,
		}
		if len(i.RestrictToZones) == 1 {
			shown.ZoneID, shown.ZoneName = given(zoneKind.id(i.RestrictToZones[0]).String()), &i.RestrictToZones[0]
		}
		if limit := int(i.SessionTimeLimit.Std().Seconds()); limit > 0 {
			shown.SessionTimeLimit = &limit
		}
		images = append(images, shown)
	}
	return map[string]any{"images": images}, err
}

// zone is a zone, as this API shows it.
type zone struct {
	ZoneID               string `json:"zone_id"`
	ZoneName             string `json:"zone_name"`
	SearchAlternateZones bool   `json:"search_alternate_zones"`
	AllowOriginDomain    string `json:"allow_origin_domain"`
	UpstreamAuthAddress  string `json:"upstream_auth_address"`
}

// getZones lists the zones that the token reaches.
func getZones(c *call, f *fields) (any, error) {
	// All of a zone is little.
	f.flag("brief")
	if err := f.end(); err != nil {
		return nil, err
	}
	stored, err := all[httpapi.Zone](c, "/v1/zones", "")
	zones := []zone{}
	for _, z := range stored {
		zones = append(zones, zone{zoneKind.id(z.Name).String(), z.Name, z.SearchAlternateZones, z.AllowOriginDomain, z.UpstreamAuthAddress})
	}
	return map[string]any{"zones": zones}, err
}
