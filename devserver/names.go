package devserver

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Certificate says how it goes with the certificate for one of Config.Names.
type Certificate struct {
	Event string    `json:"event"` // "certificate"
	Time  time.Time `json:"time"`
	Name  string    `json:"name"`
	// State is "registering", "ordering", "found", "obtained", "renewed" or "failed".
	State     string `json:"state"`
	Authority string `json:"authority"` // its host
	// Terms is the address of the terms of service that registering agrees to.
	Terms string `json:"terms,omitempty"`
	// Issuer is who signed the certificate, NotAfter when the one in use ends.
	Issuer   string    `json:"issuer,omitempty"`
	NotAfter time.Time `json:"notAfter,omitzero"`
	// Problem is why it failed, Next what to do about it, and RetryAt when it is tried again.
	Problem string    `json:"problem,omitempty"`
	Next    string    `json:"next,omitempty"`
	RetryAt time.Time `json:"retryAt,omitzero"`
}

func (Certificate) event() {}

// publicHosts are the names that a URL can have, as wildcards cannot.
func (c *Config) publicHosts() (hosts []string) {
	for _, name := range c.Names {
		if !strings.HasPrefix(name, "*.") {
			hosts = append(hosts, name)
		}
	}
	return hosts
}

// isPublic tells whether there is, or will be, a certificate of Config.Names for a host.
func (c *Config) isPublic(host string) bool {
	host = normalHost(host)
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(c.Names, func(name string) bool {
		wild, isWild := strings.CutPrefix(name, "*.")
		return isWild && parent == normalName(wild) || normalHost(name) == host
	})
}

// normalHost is a host as names are compared: an address in one form, a name in lower case.
func normalHost(host string) string {
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return normalName(host)
}

// guarded are the names that a hostGuard allows for Config.Names.
func (c *Config) guarded() (names []string) {
	for _, name := range c.Names {
		if wild, isWild := strings.CutPrefix(name, "*"); isWild {
			name = wild
		}
		names = append(names, normalHost(name))
	}
	return names
}

// localHost is the host in the URL that this machine itself reaches the server by, whatever
// its public names are.
func (c *Config) localHost() string {
	if ip := net.ParseIP(c.Host); ip != nil && !ip.IsUnspecified() {
		return ip.String()
	}
	return "localhost"
}
