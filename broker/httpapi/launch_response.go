package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
)

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

func (a LaunchAnswer) content() any {
	if a.One != nil {
		return a.One
	}
	return launchedList{Items: a.Items}
}

// MarshalJSON implements json.Marshaler.
func (a LaunchAnswer) MarshalJSON() ([]byte, error) { return json.Marshal(a.content()) }

// launchedReply is the answer of a launch that was served. It is the generated one,
// except that it is on its way before the launch is counted and logged, and that its
// JSON is gone over once instead of twice.
type launchedReply struct {
	LaunchAnswer
	location string
}

// VisitCreateSessionResponse implements CreateSessionResponseObject.
func (r launchedReply) VisitCreateSessionResponse(w http.ResponseWriter) error {
	body, err := json.Marshal(r.content())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaJSON)
	// Without it what is flushed goes out in chunks.
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Location", r.location)
	w.WriteHeader(http.StatusCreated)
	if _, err := w.Write(body); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
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
