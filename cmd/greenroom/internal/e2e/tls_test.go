package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestEverythingByTLS(t *testing.T) {
	a := devtest.NewAuthority(t)
	for i, name := range []string{"server", "client", "broker"} {
		a.Issue(name, int64(11+i))
	}
	c, err := devcluster.Start(context.Background(), devcluster.Options{
		Datacenters: []string{"dc1"}, TLS: &devcluster.TLSFiles{CA: a.File("ca.pem"), Cert: a.File("server.pem"), Key: a.File("server.key")},
	})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.ConsulAddr, c.RedisAddr = c.ConsulHTTPS, a.Redis("user default off\nuser greenroom on >hush-hush ~greenroom* %RW~* &* +@all\n")
	must(t, os.WriteFile(a.File("password"), []byte("hush-hush\n"), 0o600))
	must(t, os.WriteFile(a.File("agents.hcl"), []byte(`
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
	t.Setenv("CONSUL_CACERT", a.File("ca.pem"))
	t.Setenv("CONSUL_CLIENT_CERT", a.File("client.pem"))
	t.Setenv("CONSUL_CLIENT_KEY", a.File("client.key"))
	b := startAgent(t, c, "broker", "--config", a.File("agents.hcl"))
	s := startAgent(t, c, "scaler", "--config", a.File("agents.hcl"))

	t.Setenv("GREENROOM_TOKEN", "")
	t.Setenv("GREENROOM_ADDR", "https://"+b.Address)
	cl := clitest.Real(t)
	cl.Want(exit.Unavailable, []string{"staging"}, "is not trusted", "--ca-cert")
	cl.Want(exit.Usage, []string{"staging", "--ca-cert", a.File("none.pem")}, "none.pem")
	cl.Want(exit.OK, []string{"staging", "--ca-cert", a.File("ca.pem")})
	t.Setenv("GREENROOM_CACERT", a.File("ca.pem"))
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
	// The pool is ready as Consul has it; the scaler vouches for the new zone's Redis a moment later.
	until(t, "all is well", func() (bool, string) {
		code, out, errs := cl.Run("status")
		return code == exit.OK, out + errs
	})
	// The hook runs through Nomad's exec, also by TLS.
	var given launched
	clitest.Decode(t, cl.Want(exit.OK, []string{"launch", "quick", "--zone", "east", "--user", "alice", "--json"}), &given)
	if given.Origin != string(staging.Staged) {
		t.Errorf("given %+v", given)
	}
	t.Setenv("NOMAD_ADDR", c.NomadAddr)
	cl.Want(exit.Unavailable, []string{"exec", given.ID, "--", "/bin/true"}, "certificate")
	t.Setenv("NOMAD_CACERT", a.File("ca.pem"))
	cl.Want(exit.OK, []string{"exec", given.ID, "--", "/bin/echo", "by TLS"}, "by TLS")

	// A renewed certificate is served without a restart; one that cannot be read is not.
	serial := func() string {
		conn, err := tls.Dial("tcp", b.Address, a.Trust())
		must(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != "13" {
		t.Errorf("serves certificate %s", got)
	}
	a.Issue("broker", 99)
	until(t, "the renewed certificate is served", func() (bool, string) { got := serial(); return got == "99", got })
	// A reload may already have failed between the writes of key and certificate.
	refusals := func() int { return strings.Count(b.Log.String(), "was not renewed") }
	before := refusals()
	must(t, os.WriteFile(a.File("broker.pem"), []byte("not a certificate"), 0o600))
	until(t, "the broker says that it cannot read it", func() (bool, string) { return refusals() > before, b.Log.String() })
	// A SIGHUP makes it reload, even if no file has changed.
	before = refusals()
	b.Signal(t, syscall.SIGHUP)
	until(t, "the broker says so again", func() (bool, string) { return refusals() > before, b.Log.String() })
	if got := serial(); got != "99" {
		t.Errorf("serves certificate %s", got)
	}
	if res, err := http.Get("http://" + b.Address + "/v1/zones"); err == nil {
		defer res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("it answers without TLS, too")
		}
	}
	expire(t, a, c, b)
	if strings.Contains(b.Log.String()+s.Log.String(), "hush-hush") {
		t.Error("the password of Redis is in a log")
	}
}

// expire lets the certificates of a broker and of Consul expire, and renews them. Nothing has to be
// restarted: the broker reads its own again, and connects to Consul again.
func expire(t *testing.T, a *devtest.Authority, c *devcluster.Cluster, b *agent) {
	t.Helper()
	expiry := func() time.Time {
		lax := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		text, err := fetchBy(lax, "https://"+b.Address+"/metrics")
		must(t, err)
		_, rest, _ := strings.Cut(text, `greenroom_certificate_expiry_timestamp_seconds{certificate="api"} `)
		seconds, err := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
		must(t, err)
		return time.Unix(int64(seconds), 0)
	}
	handshake := func() error {
		conn, err := tls.Dial("tcp", b.Address, a.Trust())
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	over := time.Now().Add(-time.Minute).Truncate(time.Second)
	a.IssueUntil("broker", 100, over)
	until(t, "the metric shows that the certificate has expired", func() (bool, string) { at := expiry(); return at.Equal(over), at.String() })
	if err := handshake(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a client accepts an expired certificate: %v", err)
	}
	a.Issue("broker", 101)
	until(t, "a renewed certificate is accepted", func() (bool, string) { err := handshake(); return err == nil, fmt.Sprint(err) })
	if left := time.Until(expiry()); left < 50*time.Minute {
		t.Errorf("the renewed certificate expires in %s", left)
	}

	// What Consul reads again is for new connections.
	reload := func() {
		process, err := os.FindProcess(c.Consul.PID())
		must(t, err)
		must(t, process.Signal(syscall.SIGHUP))
	}
	a.IssueUntil("server", 110, over)
	reload()
	until(t, "Consul shows the expired certificate", func() (bool, string) {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(c.ConsulHTTPS, "https://"), a.Trust())
		if err == nil {
			conn.Close()
		}
		return err != nil && strings.Contains(err.Error(), "expired"), fmt.Sprint(err)
	})
	late := exec.Command(filepath.Join(bin, "greenroom"), "broker", "--config", a.File("agents.hcl"), "--bind", "127.0.0.1:0",
		"--nomad-address", c.NomadAddr, "--consul-address", c.ConsulAddr, "--redis-address", c.RedisAddr)
	out := new(buffer)
	late.Stdout, late.Stderr = out, out
	must(t, late.Start())
	ended := make(chan error, 1)
	go func() { ended <- late.Wait() }()
	t.Cleanup(func() { _ = late.Process.Kill() })
	until(t, "a broker that starts names what is wrong", func() (bool, string) { return strings.Contains(out.String(), "certificate has expired"), out.String() })
	a.Issue("server", 111)
	reload()
	until(t, "it serves once Consul's certificate is renewed", func() (bool, string) {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, out.String())
		default:
		}
		return strings.Contains(out.String(), "broker serves"), out.String()
	})
	must(t, late.Process.Signal(syscall.SIGTERM))
	<-ended
}
