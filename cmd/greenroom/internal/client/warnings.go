package client

import (
	"net/http"
	"regexp"
	"strings"
)

// warning is one warning of the header Warning.
var warning = regexp.MustCompile(`\d{3} \S+ "((?:[^"\\]|\\.)*)"`)

// Warnings returns the texts of an answer's warnings: what was accepted and may not be meant.
func Warnings(r *http.Response) []string {
	if r == nil {
		return nil
	}
	var all []string
	for _, value := range r.Header.Values("Warning") {
		for _, found := range warning.FindAllStringSubmatch(value, -1) {
			all = append(all, strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(found[1]))
		}
	}
	return all
}
