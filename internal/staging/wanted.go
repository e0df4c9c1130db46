package staging

import "time"

// Wanted is how many ready sessions a pool wants at one time. Everything that shows or
// compares the number takes it from here: the config's own number is only a part of it.
type Wanted struct {
	Sessions int
	// Keep is above how many the ready ones are retired, at least Sessions: a pool that follows
	// its demand lets those between be used up.
	Keep int
	// Reason says in words what decides that and what comes next; "" where the config's own
	// number is all there is.
	Reason string
	// Until is until when that holds at least, and Next the number from then on; zero for
	// ever.
	Until time.Time
	Next  int
}
