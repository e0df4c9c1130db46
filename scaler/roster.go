package scaler

import (
	"cmp"
	"slices"
	"time"
)

// roster holds a pool's members in the order of their ids, which is that of their
// creation. It caches the Member derived from each entry, and derives it again only for
// entries that changed: a pool is decided after every event of any of its sessions, and
// most of the others have not changed since, nor are they in the CPU's cache.
type roster struct {
	entries []*entry
	// derived are the cached members, in the order of entries. changed are the entries
	// whose cached member may be outdated; with allChanged set, any may be.
	derived    []Member
	changed    []*entry
	allChanged bool
}

// add inserts an entry at its place. It must not be in the roster.
func (r *roster) add(e *entry) {
	at := len(r.entries)
	if at > 0 && r.entries[at-1].s.ID > e.s.ID {
		at, _ = slices.BinarySearchFunc(r.entries, e, func(a, b *entry) int { return cmp.Compare(a.s.ID, b.s.ID) })
	}
	r.entries = slices.Insert(r.entries, at, e)
	if !r.allChanged {
		r.derived = slices.Insert(r.derived, at, Member{})
	}
	r.change(e)
}

// remove removes an entry. It searches for the pointer, which reads none of the entries.
func (r *roster) remove(e *entry) {
	at := slices.Index(r.entries, e)
	if at < 0 {
		return
	}
	r.entries = slices.Delete(r.entries, at, at+1)
	if !r.allChanged {
		r.derived = slices.Delete(r.derived, at, at+1)
	}
	e.changed = false // the flag is about the roster that the entry is in next
}

// change notes that an entry may have changed.
func (r *roster) change(e *entry) {
	if !r.allChanged && !e.changed {
		e.changed = true
		r.changed = append(r.changed, e)
	}
}

// changeAll notes that what all members are derived from may have changed.
func (r *roster) changeAll() { r.allChanged = true }

// members returns the members at a time, derived with derive where they may have
// changed. The slice is the roster's: it is valid until the roster changes, and must
// not be written to.
func (r *roster) members(now time.Time, derive func(*entry) Member) []Member {
	changed := r.changed
	r.changed = changed[:0]
	for _, e := range changed {
		e.changed = false
	}
	// The end of an entry's pause changes its member without an event, so a paused entry
	// stays in the list.
	deriveOne := func(e *entry) Member {
		if now.Before(e.until) && !e.changed {
			e.changed = true
			r.changed = append(r.changed, e)
		}
		return derive(e)
	}
	if r.allChanged {
		r.allChanged = false
		clear(changed)
		clear(r.derived)
		r.derived = slices.Grow(r.derived[:0], len(r.entries))
		for _, e := range r.entries {
			r.derived = append(r.derived, deriveOne(e))
		}
		return r.derived
	}
	for _, e := range changed {
		if at := slices.Index(r.entries, e); at >= 0 {
			r.derived[at] = deriveOne(e)
		}
	}
	// Pointers past the list's end would keep dropped entries from being collected.
	clear(changed[len(r.changed):])
	return r.derived
}
