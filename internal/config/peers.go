package config

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Peer is the greenroom of another region, to which launches cross.
type Peer struct {
	// Address is the URL of its broker's API.
	Address string
	// Token is a token of that broker with the role launcher; "" for none.
	Token Secret
	// TLS is for an https address. Of its files CAPath is not used.
	TLS TLS
}

// peerSettings are attributes of blocks such as peer "west" { ... }; as flags each has the peer's
// name before its value.
var peerSettings = []setting{
	{"broker.peer.address", "peer", []string{"GREENROOM_PEERS"}, Broker, "the greenroom of another region that zones name, such as west=https://greenroom.west.example.org; may be repeated", ofPeer(false, func(p *Peer, text string) error { p.Address = strings.TrimRight(text, "/"); return nil })},
	{"broker.peer.token_file", "peer-token-file", nil, Broker, "a file with a token of that greenroom's, with the role launcher, such as west=/etc/greenroom/west.token; may be repeated", ofPeer(true, func(p *Peer, path string) error {
		var read Agent
		err := secretFromFile(func(a *Agent) *Secret { return &a.Token }).set(&read, path)
		p.Token = read.Token
		return err
	})},
	{"", "", []string{"GREENROOM_PEER_TOKENS"}, Broker, "", value{set: ofPeer(false, func(p *Peer, text string) error { p.Token = Secret(text); return nil }).set}},
	{"broker.peer.ca_file", "peer-ca-cert", nil, Broker, "PEM file of the authorities that sign that greenroom's certificate, as NAME=PATH; may be repeated", ofPeer(true, existing(func(p *Peer) *string { return &p.TLS.CAFile }))},
	{"broker.peer.cert_file", "peer-client-cert", nil, Broker, "PEM file of the client certificate for it, as NAME=PATH; may be repeated", ofPeer(true, existing(func(p *Peer) *string { return &p.TLS.CertFile }))},
	{"broker.peer.key_file", "peer-client-key", nil, Broker, "PEM file of that certificate's key, as NAME=PATH; may be repeated", ofPeer(true, existing(func(p *Peer) *string { return &p.TLS.KeyFile }))},
	{"broker.peer.server_name", "peer-tls-server-name", nil, Broker, "the name in its certificate, if it is not the host of its address, as NAME=HOST; may be repeated", ofPeer(false, func(p *Peer, text string) error { p.TLS.ServerName = text; return nil })},
}

// ofPeer is a setting of peers: a line NAME=VALUE for each, or, in a variable, with commas between.
func ofPeer(path bool, set func(p *Peer, text string) error) value {
	return value{hclType: "string", labelled: true, path: path, set: func(a *Agent, text string) error {
		peers := maps.Clone(a.Peers)
		if peers == nil {
			peers = map[string]Peer{}
		}
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ',' }) {
			name, v, ok := strings.Cut(line, "=")
			if !ok || name == "" {
				// The line may be a secret.
				return fmt.Errorf("must be NAME=VALUE, where NAME is what zones call the peer")
			}
			p := peers[name]
			if err := set(&p, v); err != nil {
				return err
			}
			peers[name] = p
		}
		a.Peers = peers
		return nil
	}}
}

// existing is the path of a file of a peer's that must exist.
func existing(field func(*Peer) *string) func(p *Peer, path string) error {
	return func(p *Peer, path string) error {
		*field(p) = path
		if _, err := os.Stat(path); err != nil {
			return unreadableFile(err)
		}
		return nil
	}
}

func (a Agent) validatePeers(add func(flag, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(a.Peers)) {
		p := a.Peers[name]
		if why := staging.NameProblem(name); why != "" {
			add("peer", "peer %q: the name %s", name, why)
		}
		u, err := url.Parse(p.Address)
		switch {
		case p.Address == "":
			add("peer", "peer %s has no address", name)
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil:
			add("peer", "peer %s: the address must be a URL such as https://greenroom.west.example.org", name)
		case u.Scheme == "http" && p.TLS != (TLS{}):
			add("peer", "peer %s: there are TLS settings, and the address is not https", name)
		}
		if (p.TLS.CertFile == "") != (p.TLS.KeyFile == "") {
			add("peer-client-cert", "peer %s: a client certificate and its key are of use together only", name)
		}
	}
}
