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
				if hello.ServerName == "" {
					hello = withName(hello, c.name)
				}
				return serving.GetCertificate(hello)
			}
			// Not yet: others may have nothing for this name, but something for who does not
			// say one. A browser then warns, and lets a person look, instead of giving up.
			return certificateOf(others, withName(hello, ""))
		}
		return certificateOf(others, hello)
	}
	conf.Certificates = nil // with some, crypto/tls asks GetCertificate for names only
	return conf
}

// withName is the same client asking for this name.
func withName(hello *tls.ClientHelloInfo, name string) *tls.ClientHelloInfo {
	other := *hello
	other.ServerName = name
	return &other
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
// that it has connected to. One that has a certificate comes before one that has not, and then the
// name itself before a wildcard.
func (m *Manager) find(hello *tls.ClientHelloInfo) *managed {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" {
		return m.findAddress(hello.Conn)
	}
	_, domain, _ := strings.Cut(name, ".")
	var found *managed
	for _, c := range m.certs {
		isExact := c.name == name
		if !isExact && (domain == "" || c.name != "*."+domain) {
			continue
		}
		if found == nil || c.has() && (isExact || !found.has()) {
			found = c
		}
	}
	return found
}

// has tells whether there is a certificate.
func (c *managed) has() bool { return c.serving.Load() != nil }

// findAddress returns the address that a client has connected to. Behind translation that is not
// this machine's own: then a client from outside means the only one that there is.
func (m *Manager) findAddress(conn net.Conn) *managed {
	if conn == nil {
		return nil
	}
	here, there := addressOf(conn.LocalAddr()), addressOf(conn.RemoteAddr())
	var addresses []*managed
	for _, c := range m.certs {
		if ip, err := netip.ParseAddr(c.name); err == nil {
			if ip == here {
				return c
			}
			addresses = append(addresses, c)
		}
	}
	if len(addresses) == 1 && there.IsGlobalUnicast() && !there.IsPrivate() {
		return addresses[0]
	}
	return nil
}

// addressOf is the IP address of one end; the zero Addr if it has none.
func addressOf(end net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(end.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
