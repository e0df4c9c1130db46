package httpapi

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// Bounds of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// pageLimit returns a request's limit, or the default where it has none.
func pageLimit(limit *int) (int, error) {
	switch {
	case limit == nil:
		return defaultLimit, nil
	case *limit < 1 || *limit > maxLimit:
		return 0, refuseParameter(CodeInvalidParameter, "limit", fmt.Sprintf("must be between 1 and %d, is %d", maxLimit, *limit))
	}
	return *limit, nil
}

// Cursors are opaque to callers. Inside are the kind of list, so that the cursor of one
// list is refused by another, and the position of the last item.
const (
	sessionCursorKind = "s"
	endedCursorKind   = "e"
	nameCursorKind    = "n"
)

func cursorOf(kind, at string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + ":" + at))
}

// cursorAt returns the position in a cursor; "" for no cursor, which is the beginning.
func cursorAt(kind, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	at, ok := strings.CutPrefix(string(b), kind+":")
	if err != nil || !ok || at == "" {
		return "", badCursor()
	}
	return at, nil
}

func badCursor() *problemError {
	return refuseParameter(CodeInvalidParameter, "cursor", "is not the next_cursor of this list; leave it out to start at the beginning")
}

// pageByName returns a page of a list that is sorted by name, and the cursor of the next
// page, "" where there is none. An item that is added or removed between two pages moves
// no other.
func pageByName[T any](all []T, name func(T) string, cursor string, limit *int) (page []T, next string, err error) {
	size, err := pageLimit(limit)
	if err != nil {
		return nil, "", err
	}
	after, err := cursorAt(nameCursorKind, cursor)
	if err != nil {
		return nil, "", err
	}
	begin, found := slices.BinarySearchFunc(all, after, func(v T, after string) int { return strings.Compare(name(v), after) })
	if found {
		begin++
	}
	page = all[begin:]
	if len(page) > size {
		page = page[:size]
		next = cursorOf(nameCursorKind, name(page[size-1]))
	}
	return page, next, nil
}
