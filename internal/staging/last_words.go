package staging

// LastWords are what is left to read of a session that failed before anybody had it.
type LastWords struct {
	// Stderr are the last lines that a task wrote to its standard error, the oldest first.
	Stderr []string
	// TaskEvents are what Nomad noted of the tasks, the oldest first, each as "task: type: text".
	TaskEvents []string
}
