package devserver

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// hostGuard refuses requests that are addressed to a name which is not this
// machine's. Without it a page of evil.example, whose name is re-pointed at
// 127.0.0.1 after it has loaded (DNS rebinding), reads everything served here
// as its own origin. An address in Host is safe from that: nobody can re-point
// an address.
type hostGuard struct {
	names []string               // lower-case; a leading dot stands for every name below
	later atomic.Pointer[string] // one that was found out meanwhile
}

func newHostGuard(hostname string, allow []string) *hostGuard {
	g := &hostGuard{names: []string{"localhost", ".localhost"}} // RFC 6761 §6.3
	if hostname = normalName(hostname); hostname != "" {
		short, _, _ := strings.Cut(hostname, ".")
		g.names = append(g.names, hostname, short, short+".local") // RFC 6762 §3
	}
	for _, name := range allow {
		g.names = append(g.names, normalName(name))
	}
	return g
}

// allow adds a name of this machine that was not known in the beginning.
func (g *hostGuard) allow(name string) {
	name = normalName(name)
	g.later.Store(&name)
}

// laterName is the one that was found out, or empty.
func (g *hostGuard) laterName() string {
	if name := g.later.Load(); name != nil {
		return *name
	}
	return ""
}

func normalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// allows reports whether a request for host, as in "name:port", that came in on
// the local address is meant for this server.
func (g *hostGuard) allows(host string, local net.Addr) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]") // no port
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		ip = ip.Unmap().WithZone("")
		// Behind a router that translates, a public address is none of this machine's.
		return ip.IsLoopback() || slices.Contains(addressesOf(local), ip) || slices.Contains(g.names, ip.String())
	}
	name = normalName(name)
	if later := g.later.Load(); later != nil && name == *later {
		return true
	}
	return slices.ContainsFunc(g.names, func(own string) bool {
		return name == own || strings.HasPrefix(own, ".") && strings.HasSuffix(name, own)
	})
}

// addressesOf returns the address a connection came in on and this machine's
// other ones: a request to one of them can arrive through another interface.
func addressesOf(local net.Addr) (ips []netip.Addr) {
	if tcp, ok := local.(*net.TCPAddr); ok {
		ips = append(ips, tcp.AddrPort().Addr().Unmap().WithZone(""))
	}
	addrs, _ := net.InterfaceAddrs() // without them the address above remains
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			ips = append(ips, prefix.Addr().Unmap())
		}
	}
	return ips
}

// guard answers requests for foreign hosts with 421 (RFC 9110 §15.5.20) and
// passes the others on.
func (g *hostGuard) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if g.allows(r.Host, local) {
			next.ServeHTTP(w, r)
			return
		}
		text := "This server does not answer to that name, to keep other sites' pages out."
		if name := hostOnly(r.Host); plainName(name) {
			text += "\nIf the name is yours, start it with: rtcdev serve --allow-host " + name
		}
		http.Error(w, text, http.StatusMisdirectedRequest)
	})
}

// plainName tells what can be shown in a command to copy.
func plainName(name string) bool {
	return name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func urlFor(host string, port int) string {
	if port == 443 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return "https://" + host + "/"
	}
	return "https://" + net.JoinHostPort(host, fmt.Sprint(port)) + "/"
}
