package certs

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxLeaves bounds the cache. A client may ask for any number of names below a
// permitted one.
const maxLeaves = 256

// GetCertificate is for [tls.Config.GetCertificate]. It returns a certificate
// for the server name the client asks for, or for the local address of the
// connection if it names none, as is the case when the link holds an IP address
// (RFC 6066 §3 allows no addresses there). On a loopback address the certificate
// is for localhost, too: Java names no server whose name has no dot.
//
// For a name outside the constraints it returns (nil, nil). If the
// configuration has no other certificates, crypto/tls then ends the handshake
// with the alert unrecognized_name (RFC 6066 §3), whereas an error would become
// internal_error and look like a fault of this server.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s, ok := requested(hello)
	if !ok || a.constraints.check(s) != nil {
		return nil, nil
	}
	names := []string{s.String()}
	if s.ip.IsLoopback() {
		names = append(names, "localhost")
	}
	return a.leaves.get(s.String(), a.now(), func() (*tls.Certificate, error) { return a.Issue(names) })
}

// requested returns the name a client wants to reach, and false if there is
// none to be found or it is not one a client may ask for.
func requested(hello *tls.ClientHelloInfo) (subject, bool) {
	if hello.ServerName != "" {
		s, err := parseSubject(hello.ServerName)
		return s, err == nil && !s.isWildcard()
	}
	if hello.Conn == nil {
		return subject{}, false
	}
	return localSubject(hello.Conn.LocalAddr())
}

func localSubject(addr net.Addr) (subject, bool) {
	if addr == nil {
		return subject{}, false
	}
	local, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return subject{}, false
	}
	return subject{ip: local.Addr().Unmap().WithZone("")}, true
}

// leafCache keeps the certificates used last. Its zero value is empty and
// ready. One lock is held while a certificate is made (some tenths of a
// millisecond), so that handshakes for one name that begin together make one.
type leafCache struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of *cachedLeaf, the one used last in front
}

type cachedLeaf struct {
	name string
	cert *tls.Certificate
}

// get returns the certificate for a name, calling mint if there is none or if
// less than a third of its life is left.
func (c *leafCache) get(name string, now time.Time, mint func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.entries[name]; element != nil {
		entry := element.Value.(*cachedLeaf)
		c.recent.MoveToFront(element)
		if isFresh(entry.cert, now) {
			return entry.cert, nil
		}
		cert, err := mint()
		if err != nil {
			return nil, err
		}
		entry.cert = cert
		return cert, nil
	}
	cert, err := mint()
	if err != nil {
		return nil, err
	}
	if c.entries == nil {
		c.entries = make(map[string]*list.Element)
	}
	c.entries[name] = c.recent.PushFront(&cachedLeaf{name, cert})
	if c.recent.Len() > maxLeaves {
		oldest := c.recent.Remove(c.recent.Back()).(*cachedLeaf)
		delete(c.entries, oldest.name)
	}
	return cert, nil
}

// isFresh reports whether at least a third of a certificate's life is left. A
// clock that was set back makes it stale too.
func isFresh(cert *tls.Certificate, now time.Time) bool {
	life := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
	return !now.Before(cert.Leaf.NotBefore) && cert.Leaf.NotAfter.Sub(now) >= life/3
}
