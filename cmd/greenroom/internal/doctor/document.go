package doctor

import "strings"

// Document returns the rows as the table of deploy/README.md, in Markdown.
func Document() string {
	var b strings.Builder
	b.WriteString("| check | where | setting | otherwise | doctor says |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		b.WriteString("| `" + r.id + "` | " + r.where + " | " + r.setting + " | " + r.why + " | " + string(r.level) + " |\n")
	}
	return b.String()
}
