package staging

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Bounds of labels, which are those of Kubernetes.
const (
	MaxLabels          = 64
	maxLabelName       = 63
	maxLabelPrefix     = 253
	maxLabelValue      = 63
	MaxSelectorLength  = 1024
	maxSelectorClauses = 32
)

var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
)

// whyNoLabelKey says why a text is no key of a label: NAME, or PREFIX/NAME with a DNS name for
// a prefix; "" where it is one.
func whyNoLabelKey(key string) string {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	if prefixed && (len(prefix) > maxLabelPrefix || !labelPrefix.MatchString(prefix)) {
		return fmt.Sprintf("must have a DNS name before the slash, is %q", key)
	}
	if len(name) > maxLabelName || !labelName.MatchString(name) {
		return fmt.Sprintf("must be at most %d letters, digits, dashes, underscores and dots, with a letter or digit at both ends, is %q", maxLabelName, name)
	}
	return ""
}

// whyNoLabelValue is whyNoLabelKey for a value, which may be empty.
func whyNoLabelValue(value string) string {
	if value != "" && (len(value) > maxLabelValue || !labelName.MatchString(value)) {
		return fmt.Sprintf("must be empty, or at most %d letters, digits, dashes, underscores and dots, with a letter or digit at both ends, is %q", maxLabelValue, value)
	}
	return ""
}

func (p *problems) labels(field string, labels map[string]string) {
	if len(labels) > MaxLabels {
		p.add(field, "must be at most %d, are %d", MaxLabels, len(labels))
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if why := whyNoLabelKey(key); why != "" {
			p.add(field+"."+key, "is no key of a label: it %s", why)
		} else if why := whyNoLabelValue(labels[key]); why != "" {
			p.add(field+"."+key, "%s", why)
		}
	}
}

// LabelsOf are the labels of a pool's sessions: the image's, and over them the config's.
func LabelsOf(i Image, c Config) map[string]string {
	if len(c.Labels) == 0 {
		return i.Labels
	}
	all := maps.Clone(i.Labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, c.Labels)
	return all
}
