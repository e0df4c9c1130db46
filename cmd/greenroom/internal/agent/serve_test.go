package agent

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/config"
)

// TestWhatTheServerSaysIsOfTheLogsFormat: a probe without TLS is a line of JSON like all others.
func TestWhatTheServerSaysIsOfTheLogsFormat(t *testing.T) {
	var out bytes.Buffer
	log := config.Agent{LogLevel: "info", LogFormat: "json"}.Logger()
	log.SetOutput(&out)
	serverLog(logrus.NewEntry(log)).Printf("http: TLS handshake error from %s: EOF", "127.0.0.1:1")
	var line struct{ Msg string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "http: TLS handshake error from 127.0.0.1:1: EOF" {
		t.Errorf("%q: %v", out.String(), err)
	}
}
