package lan

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// domain is the domain of multicast DNS (RFC 6762 section 3).
const domain = ".local"

// ErrBadName is returned for what is not one label of a host name (RFC 1123 section 2.1)
// and ".local".
var ErrBadName = errors.New("not a name of multicast DNS")

// HostName is the name that this machine would have in multicast DNS: the first label of
// its host name and ".local", in lower case. The error is the system's, or ErrBadName when
// the host name is not fit for it, as "localhost" is not.
func HostName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("reading this machine's host name: %w", err)
	}
	return nameFor(host)
}

func nameFor(host string) (string, error) {
	label, _, _ := strings.Cut(strings.ToLower(host), ".")
	if label == "localhost" || !isName(label+domain) {
		return "", fmt.Errorf("the host name %q: %w", host, ErrBadName)
	}
	return label + domain, nil
}

// isName is whether name is one label of a host name and ".local".
func isName(name string) bool {
	label, ok := strings.CutSuffix(strings.ToLower(name), domain)
	if !ok || label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, c := range []byte(label) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// sameName compares two names that end with a dot (RFC 6762 section 16).
func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// Name is the name by which something on this machine, Avahi, systemd-resolved, Bonjour or
// Windows, already makes it known to the network: "laptop.local". It is empty when there
// is none; [Answer] may then answer for one. It takes up to 1.5 s.
//
// It asks the network, as a phone would, and believes only what comes from this machine
// and names one of its addresses. The system's own resolver is not asked: it knows the
// machine's name also where nothing tells the network (systemd-resolved, hosts files).
// The name need not be HostName: another machine may have had that one first, and a Mac has
// a second name.
//
// The error is ErrNoMulticast, that of ctx, or the system's.
func Name(ctx context.Context) (string, error) {
	list, err := Addresses()
	if err != nil {
		return "", err
	}
	var ips []netip.Addr
	for _, a := range list {
		ips = append(ips, a.IP)
	}
	ifaces, err := interfacesWith(ips)
	if err != nil || len(ifaces) == 0 {
		return "", err
	}
	host, err := HostName()
	if err != nil && !errors.Is(err, ErrBadName) {
		return "", err
	}
	name, err := nameBy(ctx, ifaces, ips, host)
	if err != nil {
		return "", fmt.Errorf("asking for this machine's multicast DNS name: %w", err)
	}
	return name, nil
}

// nameBy asks whether this machine's own responder gives its addresses to host, which may
// be empty, or other names to its addresses.
func nameBy(ctx context.Context, ifaces []net.Interface, ips []netip.Addr, host string) (string, error) {
	var questions []dnsmessage.Question
	if host != "" {
		of, err := addressQuestions(host + ".")
		if err != nil {
			return "", err
		}
		questions = of
	}
	for _, ip := range ips[:min(len(ips), maxPointers)] {
		q, err := question(pointerName(ip), dnsmessage.TypePTR)
		if err != nil {
			return "", err
		}
		questions = append(questions, q)
	}
	own, err := ownAddresses()
	if err != nil {
		return "", err
	}
	name, proved := "", false
	err = ask(ctx, ifaces, questions, func(r reply) bool {
		if !own[r.from] {
			return false
		}
		if ip, ok := r.address(host + "."); ok && own[ip] && !ip.IsLoopback() {
			name, proved = host, true
		} else if pointed := r.pointsTo(questions); pointed != "" {
			name = pointed
		}
		return name != ""
	})
	if err != nil || proved || name == "" {
		return name, err
	}
	return prove(ctx, ifaces, name)
}

// prove is name when this machine's own responder gives it one of its addresses, else empty.
func prove(ctx context.Context, ifaces []net.Interface, name string) (string, error) {
	questions, err := addressQuestions(name + ".")
	if err != nil {
		return "", err
	}
	own, err := ownAddresses()
	if err != nil {
		return "", err
	}
	proved := ""
	err = ask(ctx, ifaces, questions, func(r reply) bool {
		if ip, ok := r.address(name + "."); ok && own[r.from] && own[ip] && !ip.IsLoopback() {
			proved = name
		}
		return proved != ""
	})
	return proved, err
}

// pointsTo is the name, in lower case and without its last dot, that the reply gives to an
// address that was asked for. It is empty when the reply is another one, or the name is not
// one of ours to use.
func (r reply) pointsTo(questions []dnsmessage.Question) string {
	body, ok := r.record.Body.(*dnsmessage.PTRResource)
	if !ok || !slices.ContainsFunc(questions, func(q dnsmessage.Question) bool {
		return q.Type == dnsmessage.TypePTR && sameName(q.Name.String(), r.record.Header.Name.String())
	}) {
		return ""
	}
	name := strings.ToLower(strings.TrimSuffix(body.PTR.String(), "."))
	if !isName(name) {
		return ""
	}
	return name
}

// pointerName is the name below which an address's own name is: RFC 1035 section 3.5 for
// IPv4, RFC 3596 section 2.5 for IPv6.
func pointerName(ip netip.Addr) string {
	var b strings.Builder
	bytes := ip.AsSlice()
	slices.Reverse(bytes)
	if ip.Is4() {
		for _, n := range bytes {
			fmt.Fprintf(&b, "%d.", n)
		}
		return b.String() + "in-addr.arpa."
	}
	for _, n := range bytes {
		digits := hex.EncodeToString([]byte{n})
		fmt.Fprintf(&b, "%c.%c.", digits[1], digits[0])
	}
	return b.String() + "ip6.arpa."
}

// interfacesWith are the working interfaces that have one of the addresses.
func interfacesWith(ips []netip.Addr) ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's network interfaces: %w", err)
	}
	return slices.DeleteFunc(all, func(iface net.Interface) bool {
		return !works(iface) || !slices.ContainsFunc(addressesOf(iface), func(ip netip.Addr) bool {
			return slices.Contains(ips, ip)
		})
	}), nil
}
