package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxWarnings bounds how much of a header they take; what is left out is said by the last one.
const maxWarnings = 4 << 10

// warnings returns the value of the header Warning for images that are accepted (RFC 7234, with
// 299 for any that lasts); "" for none.
func (h *handlers) warnings(ctx context.Context, images []staging.Image) string {
	all := h.broker.Checker.Warnings(requestContext(ctx), images)
	var b strings.Builder
	for n, w := range all {
		if b.Len() > maxWarnings {
			b.WriteString(", " + warning("and more: check the images one by one"))
			break
		}
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(warning(w))
	}
	return b.String()
}

// warning is one warning, with what a quoted text of a header cannot have replaced or escaped.
func warning(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return `299 greenroom "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

const headerWarning = "Warning"

// putImageAnswer and checkAnswer are answers without the header where there is no warning.
type (
	putImageAnswer struct{ PutImageResponseObject }
	checkAnswer    struct{ CheckResourcesResponseObject }
)

// VisitPutImageResponse implements PutImageResponseObject.
func (a putImageAnswer) VisitPutImageResponse(w http.ResponseWriter) error {
	return a.PutImageResponseObject.VisitPutImageResponse(noEmptyWarning{w})
}

// VisitCheckResourcesResponse implements CheckResourcesResponseObject.
func (a checkAnswer) VisitCheckResourcesResponse(w http.ResponseWriter) error {
	return a.CheckResourcesResponseObject.VisitCheckResourcesResponse(noEmptyWarning{w})
}

// noEmptyWarning sends no empty header Warning, which the generated code sets.
type noEmptyWarning struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w noEmptyWarning) WriteHeader(status int) {
	if w.Header().Get(headerWarning) == "" {
		w.Header().Del(headerWarning)
	}
	w.ResponseWriter.WriteHeader(status)
}
