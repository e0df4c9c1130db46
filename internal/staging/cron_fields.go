package staging

import (
	"fmt"
	"strings"

	"github.com/robfig/cron/v3"
)

// cronFields are the fields of a cron text in their order, each with its values.
var cronFields = []struct{ name, values string }{
	{"minute", "0 to 59"},
	{"hour", "0 to 23"},
	{"day of month", "1 to 31"},
	{"month", "1 to 12, or JAN to DEC"},
	{"day of week", "0 to 6, or SUN to SAT"},
}

// cronProblem says which fields of a cron text are wrong, and what each may be; "" where it does
// not have the five fields, or each is right by itself.
func cronProblem(text string) string {
	fields := strings.Fields(text)
	if len(fields) != len(cronFields) {
		return ""
	}
	var wrong []string
	for i, field := range fields {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = field
		if _, err := cron.ParseStandard(strings.Join(alone, " ")); err != nil {
			wrong = append(wrong, fmt.Sprintf("its %s must be %s, is %q", cronFields[i].name, cronFields[i].values, field))
		}
	}
	return strings.Join(wrong, "; ")
}
