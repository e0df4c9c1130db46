package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// certificatePoll is how often the files are looked at.
const certificatePoll = time.Second

// Certificate is a server's certificate that is read again when its files change,
// so that a renewal needs no restart. A renewal that cannot be read changes nothing.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	// stamp is that of the files which were last read, whatever came of it.
	stamp string
}

// LoadCertificate reads a certificate, with those that vouch for it, and its key
// from PEM files.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	c.stamp = c.stampOf()
	return c, c.read()
}

func (c *Certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	return nil
}

// stampOf tells files from their renewals, also where a link was pointed elsewhere.
func (c *Certificate) stampOf() (stamp string) {
	for _, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
		}
	}
	return stamp
}

// Server gives the settings of a server's TLS, with the certificate as it is at
// each handshake.
func (c *Certificate) Server() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// Follow reads the files again when they have changed, and at each signal, until
// ctx is done. It tells every reading: nil, or why the certificate stays as it was.
func (c *Certificate) Follow(ctx context.Context, again <-chan os.Signal, tell func(error)) {
	tick := time.NewTicker(certificatePoll)
	defer tick.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-again:
			asked = true
		case <-tick.C:
		}
		stamp := c.stampOf()
		if !asked && stamp == c.stamp {
			continue
		}
		c.stamp = stamp
		tell(c.read())
	}
}
