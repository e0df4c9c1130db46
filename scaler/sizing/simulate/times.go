package simulate

// times is a heap of times, the earliest first. The one of container/heap costs an
// allocation for each.
type times []float64

func (h *times) add(t float64) {
	*h = append(*h, t)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up] <= s[i] {
			break
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

// pop removes the earliest time.
func (h *times) pop() float64 {
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
		if next+1 < last && s[next+1] < s[next] {
			next++
		}
		if s[i] <= s[next] {
			break
		}
		s[i], s[next] = s[next], s[i]
		i = next
	}
	return first
}
