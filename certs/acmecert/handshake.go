package acmecert

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3"
)

// TLS returns a copy of others that also takes the handshakes of the manager's names, as soon
// as there is a certificate, and those of TLS-ALPN-01.
func (m *Manager) TLS(others *tls.Config) *tls.Config {
	conf := others.Clone()
	if !slices.Contains(conf.NextProtos, acmez.ACMETLS1Protocol) {
		conf.NextProtos = append(slices.Clone(conf.NextProtos), acmez.ACMETLS1Protocol)
	}
	conf.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if slices.Equal(hello.SupportedProtos, []string{acmez.ACMETLS1Protocol}) {
			return m.challenges.GetCertificate(hello)
		}
		if c := m.find(hello); c != nil {
			if serving := c.serving.Load(); serving != nil {
				return serving.GetCertificate(hello)
			}
			// Not yet: others may have nothing for this name, but something for who does not
			// say one. A browser then warns, and lets a person look, instead of giving up.
			nameless := *hello
			nameless.ServerName = ""
			return certificateOf(others, &nameless)
		}
		return certificateOf(others, hello)
	}
	conf.Certificates = nil // with some, crypto/tls asks GetCertificate for names only
	return conf
}

// certificateOf is what crypto/tls does with a configuration.
func certificateOf(conf *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if conf.GetCertificate != nil && (len(conf.Certificates) == 0 || hello.ServerName != "") {
		if cert, err := conf.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	for i := range conf.Certificates {
		if hello.SupportsCertificate(&conf.Certificates[i]) == nil {
			return &conf.Certificates[i], nil
		}
	}
	if len(conf.Certificates) == 0 {
		return nil, errors.New("there is no certificate for this name")
	}
	return &conf.Certificates[0], nil
}

// find returns the name that a client asks for: by SNI (RFC 6066 §3), or without it by the address
// that it has connected to.
func (m *Manager) find(hello *tls.ClientHelloInfo) *managed {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" {
		name = localAddress(hello.Conn)
	}
	_, domain, _ := strings.Cut(name, ".")
	for _, c := range m.certs {
		if c.name == name || domain != "" && c.name == "*."+domain {
			return c
		}
	}
	return nil
}

// localAddress is the address of this end, in the form of names.
func localAddress(conn net.Conn) string {
	if conn == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return at.Addr().Unmap().WithZone("").String()
}
