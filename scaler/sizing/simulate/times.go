package simulate

// made is a session that is made: a time, and how long it takes from wanted to ready.
type made struct{ at, took float64 }

// times is a heap of sessions on their way, with when they are ready; the first is at the front. The one of
// container/heap costs an allocation for each.
type times []made

func (h *times) add(m made) {
	*h = append(*h, m)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].at <= s[i].at {
			break
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

// pop removes the one that is ready first.
func (h *times) pop() made {
	s := *h
	first, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		next := 2*i + 1
		if next >= last {
			break
		}
		if next+1 < last && s[next+1].at < s[next].at {
			next++
		}
		if s[i].at <= s[next].at {
			break
		}
		s[i], s[next] = s[next], s[i]
		i = next
	}
	return first
}
