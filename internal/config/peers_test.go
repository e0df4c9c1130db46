package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestPeersOfFilesVariablesAndFlagsAreJoinedByName(t *testing.T) {
	dir := write(t, map[string]string{
		"a.hcl":    "broker {\n  peer \"west\" {\n    address    = \"https://west.example.org/\"\n    token_file = \"w.token\"\n    ca_file    = \"ca.pem\"\n  }\n  peer \"north\" {\n    address = \"http://north.example.org\"\n  }\n}\n",
		"b.hcl":    "broker {\n  peer \"west\" {\n    server_name = \"greenroom\"\n  }\n}\n",
		"w.token":  "secret-of-west\n",
		"ca.pem":   "-",
		"n2.token": "secret-by-flag",
	})
	env := map[string]string{"GREENROOM_PEERS": "south=https://south.example.org,north=https://north.example.org", "GREENROOM_PEER_TOKENS": "south=secret-of-south"}
	a, err := load(t, Broker, env, "--config", dir, "--peer", "south=https://south2.example.org", "--peer-token-file", "north="+dir+"/n2.token")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Peer{
		"west":  {Address: "https://west.example.org", Token: "secret-of-west", TLS: TLS{CAFile: dir + "/ca.pem", ServerName: "greenroom"}},
		"north": {Address: "https://north.example.org", Token: "secret-by-flag"},
		"south": {Address: "https://south2.example.org", Token: "secret-of-south"},
	}
	if len(a.Peers) != len(want) {
		t.Errorf("peers %+v", a.Peers)
	}
	for name, p := range want {
		if a.Peers[name] != p {
			t.Errorf("%s is %#v with token %q, want %#v", name, a.Peers[name], string(a.Peers[name].Token), p)
		}
	}
	if text := fmt.Sprintf("%+v %#v", a, a); strings.Contains(text, "secret-") {
		t.Errorf("a printed configuration shows a token: %s", text)
	}
}

func TestPeersThatCannotBeUsedAreFound(t *testing.T) {
	for _, c := range []struct{ file, flag, want string }{
		{"broker {\n  peer \"west\" {\n    token_file = \"w.token\"\n  }\n}\n", "", "peer west has no address"},
		{"broker {\n  peer \"West\" {\n    address = \"https://w\"\n  }\n}\n", "", "must be a DNS label"},
		{"broker {\n  peer {\n    address = \"https://w\"\n  }\n}\n", "", "Missing name for peer"},
		{"broker {\n  peer \"west\" {\n    address = \"west:7480\"\n  }\n}\n", "", "must be a URL"},
		{"broker {\n  peer \"west\" {\n    address = \"http://w\"\n    server_name = \"x\"\n  }\n}\n", "", "the address is not https"},
		{"broker {\n  peer \"west\" {\n    address = \"https://w\"\n    cert_file = \"w.token\"\n  }\n}\n", "", "of use together only"},
		{"broker {\n  peer \"west\" {\n    address = \"https://w\"\n  }\n  peer \"west\" {\n    address = \"https://v\"\n  }\n}\n", "", "is there twice"},
		{"", "https://w", "must be NAME=VALUE"},
	} {
		dir := write(t, map[string]string{"a.hcl": c.file, "w.token": "secret-of-west"})
		args := []string{"--config", dir}
		if c.flag != "" {
			args = append(args, "--peer", c.flag)
		}
		if _, err := load(t, Broker, nil, args...); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-") {
			t.Errorf("%q %q: %v, want %q", c.file, c.flag, err, c.want)
		}
	}
}
