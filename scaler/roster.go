package scaler

import (
	"cmp"
	"slices"
	"time"
)

// roster are a pool's members, in the order of their ids, which is that of their
// creation. What Decide reads of each is kept beside that of the others and derived
// anew only for those that changed: a pool is looked at for every event of any of its
// sessions, and most of them have not changed since, nor are in any cache.
type roster struct {
	entries []*entry
	// read is what was last derived of each entry, in the same order. changed are
	// the entries of which it may be wrong; with anew set it may be of every one.
	read    []Member
	changed []*entry
	anew    bool
}

// add puts an entry in its place. It must not be in the roster.
func (r *roster) add(e *entry) {
	at := len(r.entries)
	if at > 0 && r.entries[at-1].s.ID > e.s.ID {
		at, _ = slices.BinarySearchFunc(r.entries, e, func(a, b *entry) int { return cmp.Compare(a.s.ID, b.s.ID) })
	}
	r.entries = slices.Insert(r.entries, at, e)
	if !r.anew {
		r.read = slices.Insert(r.read, at, Member{})
	}
	r.change(e)
}

// remove takes an entry out. To look for the pointer reads none of the entries.
func (r *roster) remove(e *entry) {
	at := slices.Index(r.entries, e)
	if at < 0 {
		return
	}
	r.entries = slices.Delete(r.entries, at, at+1)
	if !r.anew {
		r.read = slices.Delete(r.read, at, at+1)
	}
	e.changed = false // another roster may be the next to note it
}

// change notes that an entry may have changed.
func (r *roster) change(e *entry) {
	if !r.anew && !e.changed {
		e.changed = true
		r.changed = append(r.changed, e)
	}
}

// changeAll notes that what every member is derived from may have changed.
func (r *roster) changeAll() { r.anew = true }

// members gives what Decide reads of the members at a time, by way of of. It is the
// roster's, valid until the roster changes, and must not be written to.
func (r *roster) members(now time.Time, of func(*entry) Member) []Member {
	changed := r.changed
	r.changed = changed[:0]
	for _, e := range changed {
		e.changed = false
	}
	// One that is left alone for a while changes by itself when that is over.
	derive := func(e *entry) Member {
		if now.Before(e.until) && !e.changed {
			e.changed = true
			r.changed = append(r.changed, e)
		}
		return of(e)
	}
	if r.anew {
		r.anew = false
		clear(changed)
		clear(r.read)
		r.read = slices.Grow(r.read[:0], len(r.entries))
		for _, e := range r.entries {
			r.read = append(r.read, derive(e))
		}
		return r.read
	}
	for _, e := range changed {
		if at := slices.Index(r.entries, e); at >= 0 {
			r.read[at] = derive(e)
		}
	}
	// Whatever is no longer noted as changed must not be kept from being collected.
	clear(changed[len(r.changed):])
	return r.read
}
