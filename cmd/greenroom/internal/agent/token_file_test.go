package agent

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/config"
)

// TestTheTokenForConsulIsReadAgain: each request has the token that the file has then, also one of
// a client that was made before, and while the file is being written the last one.
func TestTheTokenForConsulIsReadAgain(t *testing.T) {
	var got string
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("X-Consul-Token")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer consul.Close()
	// Nomad sets the variable beside the file. It stays what it was when the task began.
	t.Setenv("CONSUL_HTTP_TOKEN", "of-the-beginning")
	path := filepath.Join(t.TempDir(), "consul_token")
	settings, err := ConsulSettings(config.Agent{ConsulAddress: consul.URL, ConsulToken: "first", ConsulTokenFile: path})
	if err != nil {
		t.Fatal(err)
	}
	defer settings.Transport.CloseIdleConnections()
	client, err := consulapi.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, text, want string }{
		{"a file that is not there yet", "", "first"},
		{"the file as it is", "second", "second"},
		{"a file with a line end", "third\n", "third"},
		{"a file that is being written", "", "third"},
		{"the next token", "fourth", "fourth"},
	} {
		if c.text != "" || c.want != "first" {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := client.KV().Get("greenroom/x", nil); err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%s: sent %q, want %q", c.what, got, c.want)
		}
	}
}

func TestATokenOfTheEnvironmentStays(t *testing.T) {
	settings, err := ConsulSettings(config.Agent{ConsulAddress: "http://127.0.0.1:1", ConsulToken: "it"})
	if err != nil || settings.Token != "it" {
		t.Fatalf("%q, %v", settings.Token, err)
	}
	if _, follows := settings.HttpClient.Transport.(*tokenFile); follows {
		t.Error("there is no file to read")
	}
}
