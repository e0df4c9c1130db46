package doctor

import (
	"cmp"
	"regexp"
	"strconv"
)

// version is a major and a minor version; zero for not known.
type version [2]int

var versionText = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

func versionOf(text string) version {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return version{}
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return version{major, minor}
}

func (v version) atLeast(w version) bool {
	return cmp.Or(cmp.Compare(v[0], w[0]), cmp.Compare(v[1], w[1])) >= 0
}
