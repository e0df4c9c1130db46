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

// pageLimit is a request's limit, 0 where it has none.
func pageLimit(asked *int) (int, error) {
	switch {
	case asked == nil:
		return defaultLimit, nil
	case *asked < 1 || *asked > maxLimit:
		return 0, refuseParameter(CodeInvalidParameter, "limit", fmt.Sprintf("must be between 1 and %d, is %d", maxLimit, *asked))
	}
	return *asked, nil
}

// Cursors are opaque to callers: inside is the kind of list, which keeps one list's from
// being taken for another's, and the last item's place.
const (
	sessionCursorKind = "s"
	nameCursorKind    = "n"
)

func cursorOf(kind, at string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + ":" + at))
}

// cursorAt is the place in a cursor; "" for no cursor, which is the beginning.
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
	return refuseParameter(CodeInvalidParameter, "cursor", "is not the next_cursor of this list; leave it out to begin anew")
}

// pageByName gives a page of what is listed by name, and the cursor of the next page, ""
// where there is none. An item that came or went between two pages moves no other.
func pageByName[T any](all []T, name func(T) string, cursor string, asked *int) (page []T, next string, err error) {
	limit, err := pageLimit(asked)
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
	if len(page) > limit {
		page = page[:limit]
		next = cursorOf(nameCursorKind, name(page[limit-1]))
	}
	return page, next, nil
}
