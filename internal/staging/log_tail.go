package staging

// Bounds of how many lines of a log one call reads.
const (
	DefaultLogLines = 100
	MaxLogLines     = 1000
)

// LogTail is the end of what a task of a session has written. It may hold secrets of the
// session's user.
type LogTail struct {
	// Task is the task, and Stream "stdout" or "stderr".
	Task   string
	Stream string
	// Tasks are the tasks of the session, by name.
	Tasks []string
	// Text is whole lines, the last of which may still be written.
	Text string
	// Truncated: the log has more, before Text.
	Truncated bool
}
