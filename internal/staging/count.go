package staging

import "fmt"

// Count returns a number of things in words, such as 1 session or 2 sessions.
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
