package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority that ends within 60 days says so whenever it is used, with the
// date and the command that replaces it; one that lasts longer says nothing.
func TestWarningOfTheEnd(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	for days, warned := range map[int]bool{30: true, 70: false} {
		a := newAccount(t)
		a.stores = "nss"
		// Before noon in Greenwich, so that it is the same date in nearly every zone.
		end := time.Now().UTC().AddDate(0, 0, days).Truncate(24 * time.Hour).Add(11 * time.Hour)
		a.writeAuthority(end)
		said := map[string]string{}
		for _, args := range [][]string{{"certs", "status"}, {"certs"}, {"certs", "trust", "--yes"}} {
			cmd := a.command("rtcdev", args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if out, err := cmd.Output(); err != nil {
				t.Fatalf("%q: %v\n%s%s", args, err, out, &stderr)
			}
			said[strings.Join(args, " ")] = stderr.String()
		}
		server := a.serve(a.emptyFolder("pages"), "--port", "0")
		server.interrupt()
		said["serve"] = server.log.String()
		for command, text := range said {
			date := strings.Contains(text, "ends on "+end.Format(time.DateOnly))
			next := strings.Contains(text, "rtcdev certs new-authority")
			if date != warned || next != warned {
				t.Errorf("%d days before the end, %s says\n%s", days, command, text)
			}
		}
	}
}

// writeAuthority makes the account's authority as rtcdev would, but for its end.
func (a *account) writeAuthority(end time.Time) {
	a.t.Helper()
	template := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
			PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
			PermittedIPRanges: []*net.IPNet{
				{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
				{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
			},
		}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, keyErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err, keyErr); err != nil {
		a.t.Fatal(err)
	}
	root := template("a root", 1)
	rootDER, rootErr := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	der, err := x509.CreateCertificate(rand.Reader, template("an intermediate", 2), root, key.Public(), rootKey)
	keyDER, keyErr := x509.MarshalPKCS8PrivateKey(key)
	dir := filepath.Join(a.home, ".local", "share", "rtcdev", "authority")
	if err := errors.Join(rootErr, err, keyErr, os.MkdirAll(dir, 0o700)); err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]pem.Block{
		"root.pem":             {Type: "CERTIFICATE", Bytes: rootDER},
		"intermediate.pem":     {Type: "CERTIFICATE", Bytes: der},
		"intermediate-key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}
