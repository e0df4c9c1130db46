package nomadfleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// variablesFile returns the content of an HCL variables file for Nomad's parser. The
// values are strings; Nomad converts them to the types that the jobspec declares.
func variablesFile(vars map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(&b, "%s = %s\n", k, hclString(vars[k]))
	}
	return b.String()
}

// hclString quotes s as an HCL string in which nothing is interpolated.
func hclString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029 || r == 0x85:
			fmt.Fprintf(&b, `\u%04x`, r)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			// "${" and "%{" start a template sequence; doubling the sign escapes it.
			b.WriteRune(r)
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
