package httpapi

import "encoding/json"

// LaunchAnswer is what a launch is answered with that gave what it was to give: one
// session, or the list of several.
type LaunchAnswer struct {
	// One is nil where the launch was for several.
	One   *Launched
	Items []Launched
}

type launchedList struct {
	Items []Launched `json:"items"`
}

// MarshalJSON implements json.Marshaler.
func (a LaunchAnswer) MarshalJSON() ([]byte, error) {
	if a.One != nil {
		return json.Marshal(a.One)
	}
	return json.Marshal(launchedList{Items: a.Items})
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *LaunchAnswer) UnmarshalJSON(b []byte) error {
	var list launchedList
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if list.Items != nil {
		*a = LaunchAnswer{Items: list.Items}
		return nil
	}
	a.Items, a.One = nil, new(Launched)
	return json.Unmarshal(b, a.One)
}
