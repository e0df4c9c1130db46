package staging

// Needs is what a session reserves on its node: CPU in MHz, memory in MB. Zero is not known.
type Needs struct{ CPU, MemoryMB int }

// Plus returns the sum.
func (n Needs) Plus(o Needs) Needs { return Needs{n.CPU + o.CPU, n.MemoryMB + o.MemoryMB} }

// Minus returns the difference.
func (n Needs) Minus(o Needs) Needs { return Needs{n.CPU - o.CPU, n.MemoryMB - o.MemoryMB} }

// Covers reports whether it is enough for o.
func (n Needs) Covers(o Needs) bool { return n.CPU >= o.CPU && n.MemoryMB >= o.MemoryMB }

// Share returns which part of o it covers, in the dimension in which it covers least: 0 to 1.
func (n Needs) Share(o Needs) float64 {
	least := 1.0
	for _, d := range [][2]int{{n.CPU, o.CPU}, {n.MemoryMB, o.MemoryMB}} {
		if d[1] > 0 {
			least = min(least, float64(d[0])/float64(d[1]))
		}
	}
	return least
}
