package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Client returns a client's TLS configuration, for libraries that do not read the files
// themselves.
func (t TLS) Client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify}
	if t.CAFile != "" || t.CAPath != "" {
		pool, err := t.authorities()
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s with key %s: %w", t.CertFile, t.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (t TLS) authorities() (*x509.CertPool, error) {
	var names []string
	if t.CAFile != "" {
		names = append(names, t.CAFile)
	}
	if t.CAPath != "" {
		found, err := filepath.Glob(filepath.Join(t.CAPath, "*.pem"))
		if err != nil {
			return nil, fmt.Errorf("list the directory %s: %w", t.CAPath, err)
		}
		names = append(names, found...)
	}
	pool := x509.NewCertPool()
	for _, name := range names {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, unreadableFile(err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the file %s holds no certificate in PEM", name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the directory " + t.CAPath + " holds no .pem file")
	}
	return pool, nil
}
