package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// record says once to whom the session was given.
type record struct {
	UserID   string `json:"user_id"`
	UserName string `json:"user_name"`
	URL      string `json:"url,omitempty"`
	Session  string `json:"session"`
	// Environment holds the variables named by DEMO_RECORD, as far as they are
	// set. It is not all of them: raw_exec shares the machine's own.
	Environment map[string]string `json:"environment,omitempty"`
	// Via says how the session learnt of it.
	Via string    `json:"via"`
	At  time.Time `json:"at"`
}

// The values of Via.
const (
	viaFirstLaunch = "first_launch"
	viaAssign      = "hook"
	viaGo          = "go"
	// viaEnvironment: an on-demand session is born with its user.
	viaEnvironment = "environment"
)

// ofUser reports whether the record says to whom the session was given.
func (r record) ofUser() bool { return r.Via == viaAssign || r.Via == viaEnvironment }

// fromEnvironment makes a record of what greenroom has put into the
// environment; ok is false when no user is in there.
func fromEnvironment(via string) (r record, ok bool) {
	id, okID := os.LookupEnv("GREENROOM_USER_ID")
	name, okName := os.LookupEnv("GREENROOM_USER_NAME")
	if !okID && !okName {
		return record{}, false
	}
	r = record{
		UserID: id, UserName: name,
		URL: os.Getenv("GREENROOM_URL"), Session: os.Getenv("GREENROOM_SESSION_ID"),
		Via: via, At: time.Now().UTC(),
	}
	for key := range strings.SplitSeq(os.Getenv("DEMO_RECORD"), ",") {
		if value, set := os.LookupEnv(key); set {
			if r.Environment == nil {
				r.Environment = map[string]string{}
			}
			r.Environment[key] = value
		}
	}
	return r, true
}

// recordFile is the path of the session's records, one JSON object a line.
type recordFile string

// openRecords finds the file: it is in the task's own directory, which hook
// and server share and which ends with the session.
func openRecords() (recordFile, error) {
	dir := os.Getenv("NOMAD_TASK_DIR")
	if dir == "" {
		return "", errors.New("NOMAD_TASK_DIR is not set: run as a Nomad task, or set it to a directory for the record")
	}
	return recordFile(filepath.Join(dir, "served.jsonl")), nil
}

// append adds a record in one write, so that hooks that run at once do not mix,
// and returns when it is on disk.
func (f recordFile) append(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(string(f), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	// A log of all sessions of a machine outlives them: for those who check, after
	// the end, whom each of them served.
	if path := os.Getenv("DEMO_LOG"); path != "" && string(f) != path {
		return recordFile(path).append(r)
	}
	return nil
}

// read returns all records, oldest first; none is no error.
func (f recordFile) read() ([]record, error) {
	b, err := os.ReadFile(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	records := []record{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		records = append(records, r)
	}
	return records, lines.Err()
}
