package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// view is what the page shows.
type view struct {
	// User is nil while the session is nobody's.
	User *record
	// URL is the one last asked for; Version is what the image calls its own.
	URL, Session, Version string
	Up                    time.Duration
}

// Name is what to call the user: the name, or the id where there is none.
func (v view) Name() string {
	if v.User.UserName == "" {
		return v.User.UserID
	}
	return v.User.UserName
}

func (v view) render() ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, v)
	return b.Bytes(), err
}
