package devtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Authority is a certificate authority that a test created, in files.
type Authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority creates an authority for this test. Its certificate is the file ca.pem.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	a.must(err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

// File returns the path of one of the authority's files.
func (a *Authority) File(name string) string { return filepath.Join(a.dir, name) }

// Issue writes a certificate for this machine and its key, as NAME.pem and NAME.key.
func (a *Authority) Issue(name string, serial int64) {
	a.t.Helper()
	a.IssueUntil(name, serial, time.Now().Add(time.Hour))
}

// IssueUntil is Issue for a certificate that expires at a time.
func (a *Authority) IssueUntil(name string, serial int64, expires time.Time) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: expires,
		DNSNames: []string{"localhost", "server.global.nomad", "client.global.nomad", "redis.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	a.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	a.write(name+".key", "PRIVATE KEY", private)
	a.write(name+".pem", "CERTIFICATE", der)
}

// Trust returns TLS settings that trust the authority alone.
func (a *Authority) Trust() *tls.Config {
	a.t.Helper()
	pool := x509.NewCertPool()
	b, err := os.ReadFile(a.File("ca.pem"))
	a.must(err)
	pool.AppendCertsFromPEM(b)
	return &tls.Config{RootCAs: pool}
}

// Redis starts a Redis for this test that requires TLS with a client certificate, and has the
// users of an ACL file's text. It returns its host:port.
func (a *Authority) Redis(users string) (address string) {
	a.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	a.must(err)
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	a.must(l.Close())
	a.Issue("redis", 2)
	a.must(os.WriteFile(a.File("users.acl"), []byte(users), 0o600))
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--save", "", "--dir", a.dir, "--aclfile", a.File("users.acl"),
		"--logfile", a.File("redis.log"), "--tls-cert-file", a.File("redis.pem"), "--tls-key-file", a.File("redis.key"), "--tls-ca-cert-file", a.File("ca.pem"))
	a.must(cmd.Start())
	a.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	a.Issue("probe", 3)
	settings := a.Trust()
	pair, err := tls.LoadX509KeyPair(a.File("probe.pem"), a.File("probe.key"))
	a.must(err)
	settings.Certificates = []tls.Certificate{pair}
	for deadline := time.Now().Add(time.Minute); ; {
		err := answers(address, settings)
		if err == nil {
			return address
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(a.File("redis.log"))
			a.t.Fatalf("devtest: Redis does not answer by TLS: %v\n%s", err, log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// answers returns nil if Redis answers a command, be it with a refusal.
func answers(address string, settings *tls.Config) error {
	conn, err := tls.Dial("tcp", address, settings)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	reply := make([]byte, 1)
	if _, err := conn.Read(reply); err != nil {
		return fmt.Errorf("read the answer to PING: %w", err)
	}
	return nil
}

func (a *Authority) write(name, kind string, der []byte) {
	a.t.Helper()
	a.must(os.WriteFile(a.File(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (a *Authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatalf("devtest: %v", err)
	}
}
