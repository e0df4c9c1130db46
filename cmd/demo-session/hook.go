package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// hook is one of the image's hooks: it leaves a record of its run.
type hook struct {
	name string
	// via is what the record says.
	via string
	// failure names a variable: with a number in it the hook fails, with that
	// exit status.
	failure string
	// ofUser: there is a user, and the record is worth nothing without.
	ofUser bool
}

// hooks are the hooks by their subcommands.
var hooks = map[string]hook{
	"first-launch": {name: "first-launch", via: viaFirstLaunch, failure: "DEMO_FAIL_FIRST_LAUNCH"},
	"assign":       {name: "assign", via: viaAssign, failure: "DEMO_FAIL_ASSIGN", ofUser: true},
	"go":           {name: "go", via: viaGo, failure: "DEMO_FAIL_GO", ofUser: true},
}

// run gives the exit status.
func (h hook) run(stdout, stderr io.Writer) int {
	if text := os.Getenv(h.failure); text != "" {
		code, err := strconv.Atoi(text)
		if err != nil || code < 1 || code > 255 {
			code = 1
		}
		fmt.Fprintf(stderr, "demo-session: %s fails with status %d, as told\n", h.name, code)
		return code
	}
	r, ok := fromEnvironment(h.via)
	if !ok && h.ofUser {
		fmt.Fprintf(stderr, "demo-session: %s: neither GREENROOM_USER_ID nor GREENROOM_USER_NAME is set\n", h.name)
		return 2
	}
	if !h.ofUser {
		// An on-demand session's environment has its user already.
		r = record{Session: os.Getenv("GREENROOM_SESSION_ID"), Via: h.via, At: time.Now().UTC()}
	}
	records, err := openRecords()
	if err == nil {
		err = records.append(r)
	}
	if err != nil {
		fmt.Fprintf(stderr, "demo-session: %s: %v\n", h.name, err)
		return 1
	}
	fmt.Fprintf(stdout, "%s: %q\n", h.name, r.UserName)
	return 0
}
