package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// authority is a certificate authority that a test created, in files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	must(t, err)
	must(t, os.WriteFile(a.file("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes a certificate for this machine and its key, as NAME.pem and NAME.key.
func (a *authority) issue(name string, serial int64) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "server.global.nomad", "client.global.nomad", "redis.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	must(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	must(a.t, os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	must(a.t, os.WriteFile(a.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

func (a *authority) trust() *tls.Config {
	pool := x509.NewCertPool()
	b, err := os.ReadFile(a.file("ca.pem"))
	must(a.t, err)
	pool.AppendCertsFromPEM(b)
	return &tls.Config{RootCAs: pool}
}

// secureRedis starts a Redis that requires TLS with a client certificate, and in which only
// the user greenroom has permissions.
func (a *authority) secureRedis() (address string) {
	t := a.t
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	must(t, l.Close())
	must(t, os.WriteFile(a.file("users.acl"), []byte("user default off\nuser greenroom on >hush-hush ~greenroom* %RW~* &* +@all\n"), 0o600))
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--save", "", "--dir", a.dir, "--aclfile", a.file("users.acl"),
		"--tls-cert-file", a.file("redis.pem"), "--tls-key-file", a.file("redis.key"), "--tls-ca-cert-file", a.file("ca.pem"))
	out := new(buffer)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	settings := a.trust()
	pair, err := tls.LoadX509KeyPair(a.file("client.pem"), a.file("client.key"))
	must(t, err)
	settings.Certificates = []tls.Certificate{pair}
	rdb := redis.NewClient(&redis.Options{Addr: address, Username: "greenroom", Password: "hush-hush", TLSConfig: settings})
	defer rdb.Close()
	until(t, "Redis answers by TLS", func() (bool, string) {
		err := rdb.Ping(t.Context()).Err()
		return err == nil, fmt.Sprint(err, out)
	})
	return address
}

func TestEverythingByTLS(t *testing.T) {
	a := newAuthority(t)
	for i, name := range []string{"server", "redis", "client", "broker"} {
		a.issue(name, int64(10+i))
	}
	c, err := devcluster.Start(context.Background(), devcluster.Options{
		Datacenters: []string{"dc1"}, TLS: &devcluster.TLSFiles{CA: a.file("ca.pem"), Cert: a.file("server.pem"), Key: a.file("server.key")},
	})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.ConsulAddr, c.RedisAddr = c.ConsulHTTPS, a.secureRedis()
	must(t, os.WriteFile(a.file("password"), []byte("hush-hush\n"), 0o600))
	must(t, os.WriteFile(a.file("agents.hcl"), []byte(`
broker {
  tls {
    cert_file = "broker.pem"
    key_file  = "broker.key"
  }
}
nomad {
  tls {
    ca_file = "ca.pem"
  }
}
redis {
  user          = "greenroom"
  password_file = "password"
  tls {
    enabled     = true
    ca_file     = "ca.pem"
    cert_file   = "client.pem"
    key_file    = "client.key"
    server_name = "redis.test"
  }
}
`), 0o600))
	// Consul's TLS settings come from the variables of its own tools.
	t.Setenv("CONSUL_CACERT", a.file("ca.pem"))
	t.Setenv("CONSUL_CLIENT_CERT", a.file("client.pem"))
	t.Setenv("CONSUL_CLIENT_KEY", a.file("client.key"))
	b := startAgent(t, c, "broker", "--config", a.file("agents.hcl"))
	s := startAgent(t, c, "scaler", "--config", a.file("agents.hcl"))

	t.Setenv("GREENROOM_TOKEN", "")
	t.Setenv("GREENROOM_ADDR", "https://"+b.address)
	cl := clitest.Real(t)
	cl.Want(exit.Unavailable, []string{"staging"}, "is not trusted", "--ca-cert")
	cl.Want(exit.Usage, []string{"staging", "--ca-cert", a.file("none.pem")}, "none.pem")
	cl.Want(exit.OK, []string{"staging", "--ca-cert", a.file("ca.pem")})
	t.Setenv("GREENROOM_CACERT", a.file("ca.pem"))
	image := quickImage("quick")
	cl.Stdin = fmt.Sprintf(`
zone "east" {
  datacenters           = ["dc1"]
  allow_origin_domain   = "127.0.0.1"
  upstream_auth_address = "127.0.0.1"
}
image "quick" {
  jobspec   = %q
  variables = { command = %q, warmup = "0s" }
  exec_config {
    assign {
      cmd = [%q, "assign"]
    }
  }
}
staging "quick" {
  zone             = "east"
  image            = "quick"
  desired_sessions = 1
}
`, strings.ReplaceAll(image.Jobspec, "${", "$${"), image.Variables["command"], image.Variables["command"])
	cl.Want(exit.OK, []string{"apply", "-f", "-"}, `staging "quick" created`)
	cl.Want(exit.OK, []string{"staging", "wait", "quick"})
	cl.Want(exit.OK, []string{"status"}, "all is well")
	// The hook runs through Nomad's exec, also by TLS.
	var given launched
	clitest.Decode(t, cl.Want(exit.OK, []string{"launch", "quick", "--zone", "east", "--user", "alice", "--json"}), &given)
	if given.Origin != string(staging.Staged) {
		t.Errorf("given %+v", given)
	}
	t.Setenv("NOMAD_ADDR", c.NomadAddr)
	cl.Want(exit.Unavailable, []string{"exec", given.ID, "--", "/bin/true"}, "certificate")
	t.Setenv("NOMAD_CACERT", a.file("ca.pem"))
	cl.Want(exit.OK, []string{"exec", given.ID, "--", "/bin/echo", "by TLS"}, "by TLS")

	// A renewed certificate is served without a restart; one that cannot be read is not.
	serial := func() string {
		conn, err := tls.Dial("tcp", b.address, a.trust())
		must(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != "13" {
		t.Errorf("serves certificate %s", got)
	}
	a.issue("broker", 99)
	until(t, "the renewed certificate is served", func() (bool, string) { got := serial(); return got == "99", got })
	// A reload may already have failed between the writes of key and certificate.
	refusals := func() int { return strings.Count(b.out.String(), "was not renewed") }
	before := refusals()
	must(t, os.WriteFile(a.file("broker.pem"), []byte("not a certificate"), 0o600))
	until(t, "the broker says that it cannot read it", func() (bool, string) { return refusals() > before, b.out.String() })
	// A SIGHUP makes it reload, even if no file has changed.
	before = refusals()
	must(t, b.cmd.Process.Signal(syscall.SIGHUP))
	until(t, "the broker says so again", func() (bool, string) { return refusals() > before, b.out.String() })
	if got := serial(); got != "99" {
		t.Errorf("serves certificate %s", got)
	}
	if res, err := http.Get("http://" + b.address + "/v1/zones"); err == nil {
		defer res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("it answers without TLS, too")
		}
	}
	if strings.Contains(b.out.String()+s.out.String(), "hush-hush") {
		t.Error("the password of Redis is in a log")
	}
}
