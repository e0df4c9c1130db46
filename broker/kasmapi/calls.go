package kasmapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/greenroom/greenroom/broker/httpapi"
)

// refusal is an error with the status and the error_message that answer it.
type refusal struct {
	status  int
	message string
	// retryAfter is the header of that name; "" for none.
	retryAfter string
}

// Error implements error.
func (r *refusal) Error() string { return r.message }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// call is a request of this API, which becomes calls of the broker's own.
type call struct {
	api http.Handler
	// outer is the request, whose client, host and address the calls have, too.
	outer *http.Request
	// requestID is the request's id, which its calls share.
	requestID        string
	accessor, secret string
}

// forwarded are the headers of a request that its calls have, too.
var forwarded = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "User-Agent"}

// do makes a call of the broker's own API in the request's name, and decodes its answer. A refusal
// becomes one of this API.
func (c *call) do(method, target string, body, answer any) error {
	at, err := url.ParseRequestURI(target)
	if err != nil {
		panic("kasmapi: not the target of a call: " + err.Error())
	}
	ctx := c.outer.Context()
	r := c.outer.Clone(ctx)
	r.Method, r.URL, r.RequestURI, r.Header, r.Body, r.ContentLength = method, at, target, http.Header{}, http.NoBody, 0
	for _, name := range forwarded {
		if values := c.outer.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	r.Header.Set("X-Request-Id", c.requestID)
	if c.secret != "" {
		r = r.WithContext(httpapi.WithAccessor(ctx, c.accessor))
		r.Header.Set("Authorization", "Bearer "+c.secret)
	}
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			panic("kasmapi: a call's body always marshals: " + err.Error())
		}
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(encoded)), int64(len(encoded))
	}
	w := &recorder{header: http.Header{}}
	c.api.ServeHTTP(w, r)
	if w.status >= http.StatusBadRequest || w.status == 0 {
		return w.refusal()
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(w.body.Bytes(), answer); err != nil {
		return refuse(http.StatusInternalServerError, "the broker failed at this; its log has the cause, by the request id")
	}
	return nil
}

// recorder is the answer to a call.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) { w.status = cmp.Or(w.status, status) }

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush implements http.Flusher: a launch's answer is sent before the launch is logged.
func (w *recorder) Flush() {}

// wrongCredentials says what to send.
const wrongCredentials = "api_key and api_key_secret must be the accessor and the secret of one token, in the body or as HTTP Basic; this token is not known, was revoked, has expired, or was not sent"

// statusNone is the status of a call whose client hung up, which has no answer.
const statusNone = 499

// refusal returns the refusal of a call as one of this API.
func (w *recorder) refusal() *refusal {
	r := &refusal{status: cmp.Or(w.status, statusNone), retryAfter: w.header.Get("Retry-After")}
	var problem httpapi.Problem
	if err := json.Unmarshal(w.body.Bytes(), &problem); err != nil {
		r.message = "the broker failed at this"
		return r
	}
	r.message = problem.Detail
	if problem.Code == string(httpapi.CodeUnauthorized) {
		r.message = wrongCredentials
	}
	return r
}

// isRefused reports whether an error is a refusal with a status.
func isRefused(err error, status int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status == status
}

// page is a page of a list.
type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// all lists everything of a path of the broker's own API. query begins with "&", or is "".
func all[T any](c *call, path, query string) ([]T, error) {
	var items []T
	cursor := ""
	for {
		var p page[T]
		if err := c.do(http.MethodGet, path+"?limit=1000&cursor="+url.QueryEscape(cursor)+query, nil, &p); err != nil {
			return nil, err
		}
		items = append(items, p.Items...)
		if cursor = p.NextCursor; cursor == "" {
			return items, nil
		}
	}
}

// named returns the name that an id of a kind means, among those of a path of the broker's own API.
// A name that the id holds is read as well, as the client knows nothing of the name. Where the token
// may not read it, whatever is done with it finds whether it exists.
func (c *call) named(k kind, id uuid, field, path string) (string, error) {
	name, known, ours := k.nameIn(id)
	if known {
		if err := c.do(http.MethodGet, path+"/"+url.PathEscape(name), nil, nil); !isRefused(err, http.StatusNotFound) {
			return name, nil
		}
	} else if ours {
		list, err := all[struct{ Name string }](c, path, "")
		if err != nil {
			return "", err
		}
		for _, one := range list {
			if k.id(one.Name) == id {
				return one.Name, nil
			}
		}
	}
	return "", refuse(http.StatusNotFound, "there is no %s with the id %s, which %s names", k, id, field)
}
