package kasmapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// verb does what a request asks for, and returns its answer. An error is a *refusal.
type verb func(c *call, f *fields) (any, error)

// verbs are those that greenroom has a counterpart for.
var verbs = map[string]verb{
	"request_kasm": requestKasm, "get_kasm_status": getKasmStatus, "destroy_kasm": destroyKasm, "get_kasms": getKasms,
	"keepalive": keepalive, "exec_command_kasm": execCommandKasm,
	"get_images": getImages, "get_zones": getZones,
	"get_user": getUser, "get_users": getUsers, "create_user": createUser, "delete_user": deleteUser,
	"create_staging_config": createStagingConfig, "get_staging_config": getStagingConfig, "get_staging_configs": getStagingConfigs,
	"update_staging_config": updateStagingConfig, "delete_staging_config": deleteStagingConfig,
}

// prefixes begin the paths of verbs, the longest first.
var prefixes = []string{"/api/public/", "/api/"}

// handler serves this API.
type handler struct{ api http.Handler }

// New returns this API, which calls the broker's own.
func New(api http.Handler) http.Handler { return handler{api} }

// ServeHTTP implements http.Handler. The body has been read and bounded before.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h.serve(w, r)
	status := http.StatusOK
	if err != nil {
		refused, ok := errors.AsType[*refusal](err)
		if !ok {
			refused = refuse(http.StatusInternalServerError, "the broker failed at this; its log has the cause, by the request id")
		}
		status, answer = refused.status, map[string]string{"error_message": refused.message}
		if refused.retryAfter != "" {
			w.Header().Set("Retry-After", refused.retryAfter)
		}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic("kasmapi: an answer always marshals: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that hung up needs no answer
}

func (h handler) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	name := verbOf(r.URL.Path)
	do, ok := verbs[name]
	if !ok {
		return nil, refuse(http.StatusNotFound, "greenroom has no verb %s: it has %s", clipped(name), strings.Join(names(), ", "))
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, refuse(http.StatusMethodNotAllowed, "send %s with POST", name)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body ended before its end")
	}
	f, err := parseBody(body)
	if err != nil {
		return nil, err
	}
	c := &call{api: h.api, outer: r, requestID: w.Header().Get("X-Request-Id"), accessor: f.text("api_key"), secret: f.text("api_key_secret")}
	if c.accessor == "" && c.secret == "" {
		c.accessor, c.secret, _ = r.BasicAuth()
	}
	return do(c, f)
}

// verbOf returns the verb in a path.
func verbOf(path string) string {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return rest
		}
	}
	return path
}

// names returns the verbs by name.
func names() []string {
	all := make([]string, 0, len(verbs))
	for name := range verbs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// timeFormat is how this API writes a time, which is in UTC.
const timeFormat = "2006-01-02 15:04:05.000000"

// at returns a time as this API writes it; nil for none.
func at(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(timeFormat)
}
