package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// assign is the hook: it records the user that the environment names. It
// fails on purpose, with that exit status, when DEMO_FAIL_ASSIGN is a number.
func assign(stdout, stderr io.Writer) int {
	if text := os.Getenv("DEMO_FAIL_ASSIGN"); text != "" {
		code, err := strconv.Atoi(text)
		if err != nil || code < 1 || code > 255 {
			code = 1
		}
		fmt.Fprintf(stderr, "demo-session: assign fails with status %d, as told\n", code)
		return code
	}
	r, ok := fromEnvironment("hook")
	if !ok {
		fmt.Fprintln(stderr, "demo-session: assign: neither GREENROOM_USER_ID nor GREENROOM_USER_NAME is set")
		return 2
	}
	records, err := openRecords()
	if err == nil {
		err = records.append(r)
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo-session: assign:", err)
		return 1
	}
	fmt.Fprintf(stdout, "assigned to %q\n", r.UserName)
	return 0
}
