package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// certificatePollInterval is the time between two checks of the files.
const certificatePollInterval = time.Second

// Certificate is a server's certificate that is reloaded when its files change, so that
// a renewal needs no restart. If the new files cannot be read, the old certificate stays.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	// lastStamp is the stamp of the files at the last attempt to read them.
	lastStamp string
}

// LoadCertificate reads a certificate with its chain, and its key, from PEM files.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	c.lastStamp = c.currentStamp()
	return c, c.read()
}

func (c *Certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	return nil
}

// currentStamp returns a value that changes when the files are renewed, also if they are
// links to other files then.
func (c *Certificate) currentStamp() (stamp string) {
	for _, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
		}
	}
	return stamp
}

// Server returns a server's TLS configuration. Each handshake uses the current certificate.
func (c *Certificate) Server() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// Expires returns when the current certificate expires.
func (c *Certificate) Expires() time.Time { return c.current.Load().Leaf.NotAfter }

// Follow reloads the files when they have changed and on each signal from reload, until
// ctx is done. It reports every attempt: nil, or why the old certificate stays.
func (c *Certificate) Follow(ctx context.Context, reload <-chan os.Signal, report func(error)) {
	tick := time.NewTicker(certificatePollInterval)
	defer tick.Stop()
	for {
		forced := false
		select {
		case <-ctx.Done():
			return
		case <-reload:
			forced = true
		case <-tick.C:
		}
		stamp := c.currentStamp()
		if !forced && stamp == c.lastStamp {
			continue
		}
		c.lastStamp = stamp
		report(c.read())
	}
}
