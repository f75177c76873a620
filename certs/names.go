package certs

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// NameError says why a name cannot be put into a certificate.
type NameError struct {
	Name    string // as it was given
	Reason  string // continues a sentence that begins with the name
	Outside bool   // the name is a good one that this authority may not sign for; else it is malformed
}

// Error returns "NAME REASON"; the name is quoted if it holds anything that
// does not print.
func (e *NameError) Error() string {
	name := e.Name
	if quoted := strconv.Quote(name); name == "" || quoted != `"`+name+`"` {
		name = quoted
	}
	return name + " " + e.Reason
}

// subject is one name a certificate can speak for: an IP address when ip is
// valid, otherwise a DNS name.
type subject struct {
	ip  netip.Addr // unmapped, without a zone
	dns string     // lower case, no trailing dot; may begin with "*."
}

// String returns the name in its canonical form, which is also its cache key.
func (s subject) String() string {
	if s.ip.IsValid() {
		return s.ip.String()
	}
	return s.dns
}

func (s subject) isWildcard() bool { return strings.HasPrefix(s.dns, "*.") }

// parseSubject reads a DNS name, a wildcard or an IP address. The error is a
// *NameError.
func parseSubject(name string) (subject, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return subject{ip: ip.Unmap().WithZone("")}, nil
	}
	dns := strings.ToLower(strings.TrimSuffix(name, "."))
	host, wildcard := strings.CutPrefix(dns, "*.")
	if reason := hostFault(host); reason != "" {
		return subject{}, &NameError{Name: name, Reason: reason}
	}
	if wildcard && (!strings.Contains(host, ".") || host == "home.arpa") {
		return subject{}, &NameError{Name: name, Reason: "is a wildcard that browsers and OpenSSL refuse: " +
			"it stands directly below a top-level name. Name the hosts one by one, or use a wildcard one level further down, like *.app." + host + "."}
	}
	return subject{dns: dns}, nil
}

// hostFault says what keeps a lower-case name from being a host name (letters,
// digits and hyphens: RFC 1123 §2.1; lengths: RFC 1035 §2.3.4). It returns ""
// for a good one.
func hostFault(host string) string {
	if host == "" {
		return "is empty. Give a host name like localhost or an IP address."
	}
	if len(host) > 253 {
		return "is too long: a host name has at most 253 characters."
	}
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.':
		case c >= 0x80:
			return "holds characters outside ASCII. Give the name in its punycode form (it begins with xn--)."
		case c == '*':
			return "is not a wildcard that clients accept: the star has to be the whole first label, like *.app.test."
		case c == ':' || c == '/':
			return "is not a host name. Give the name alone, without https://, port or path."
		default:
			return fmt.Sprintf("is not a host name: it holds %q, and only letters, digits, hyphens and dots are allowed.", c)
		}
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return "is not a host name: two dots have nothing between them, or it begins with a dot."
		case len(label) > 63:
			return "is not a host name: a part between dots has at most 63 characters."
		case label[0] == '-' || label[len(label)-1] == '-':
			return "is not a host name: a part between dots may not begin or end with a hyphen."
		}
	}
	// A browser reads a name whose last label is a number as an IPv4 address
	// (WHATWG URL §3.5, "ends in a number").
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "ends in a number, so browsers take it for an IP address, but it is not a complete one. Give all four numbers."
	}
	return ""
}

// constraints are the names an authority may sign for. The zero value permits
// none.
type constraints struct {
	unconstrained bool
	dns           []string // a name permits itself and all names below it
	ips           []netip.Prefix
}

// newConstraints returns the default constraints plus those of o. The error is
// a *NameError.
func newConstraints(o Options) (constraints, error) {
	if o.Unconstrained {
		return constraints{unconstrained: true}, nil
	}
	c := constraints{dns: []string{
		"localhost", "test", // RFC 6761 §6.2, §6.3
		"local",     // RFC 6762 §3
		"internal",  // reserved by ICANN for private use, 2024
		"home.arpa", // RFC 8375
		"lan",       // what home routers use
	}}
	for _, prefix := range []string{
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1122 §3.2.1.3, RFC 1918 §3
		"169.254.0.0/16", "100.64.0.0/10", // RFC 3927, RFC 6598
		"::1/128", "fc00::/7", "fe80::/10", // RFC 4291 §2.4, RFC 4193
	} {
		c.ips = append(c.ips, netip.MustParsePrefix(prefix))
	}
	// The host name is the machine's, not the person's choice: one that cannot
	// be permitted is left out rather than reported.
	if host := strings.ToLower(strings.TrimSuffix(o.Hostname, ".")); hostFault(host) == "" && !isPublicTLD(host) {
		c.addDNS(host)
	}
	for _, permit := range o.Permit {
		if err := c.permit(permit); err != nil {
			return constraints{}, err
		}
	}
	return c, nil
}

// permit adds one DNS name, IP address or CIDR range.
func (c *constraints) permit(name string) error {
	if prefix, err := netip.ParsePrefix(name); err == nil {
		if prefix.Addr().Is4In6() {
			return &NameError{Name: name, Reason: "is an IPv4 range written as IPv6. Write it as IPv4, like 203.0.113.0/24."}
		}
		c.addIP(prefix.Masked())
		return nil
	}
	s, err := parseSubject(name)
	switch {
	case err != nil:
		return err
	case s.ip.IsValid():
		c.addIP(netip.PrefixFrom(s.ip, s.ip.BitLen()))
	case s.isWildcard():
		return &NameError{Name: name, Reason: "is a wildcard. Permit " + s.dns[2:] + ": that includes all names below it."}
	case isPublicTLD(s.dns):
		return &NameError{Name: name, Reason: "is a whole top-level domain of the internet. Permit the domain that is yours, like example." + s.dns + "."}
	default:
		c.addDNS(s.dns)
	}
	return nil
}

func (c *constraints) addDNS(name string) {
	if !slices.Contains(c.dns, name) {
		c.dns = append(c.dns, name)
	}
}

func (c *constraints) addIP(prefix netip.Prefix) {
	if !slices.Contains(c.ips, prefix) {
		c.ips = append(c.ips, prefix)
	}
}

// equal reports whether the same names are permitted, in the same order.
func (c constraints) equal(o constraints) bool {
	return c.unconstrained == o.unconstrained && slices.Equal(c.dns, o.dns) && slices.Equal(c.ips, o.ips)
}

// permits returns nil if the authority may sign for the name, and otherwise a
// *NameError.
func (c *constraints) permits(name string) error {
	s, err := parseSubject(name)
	if err != nil {
		return err
	}
	if outside := c.check(s); outside != nil {
		outside.Name = name
		return outside
	}
	return nil
}

// check returns nil if the authority may sign for s, and otherwise why not.
func (c *constraints) check(s subject) *NameError {
	if c.unconstrained {
		return nil
	}
	var allowed []string
	if s.ip.IsValid() {
		for _, prefix := range c.ips {
			if prefix.Contains(s.ip) {
				return nil
			}
			allowed = append(allowed, prefix.String())
		}
	} else {
		host := strings.TrimPrefix(s.dns, "*.")
		for _, name := range c.dns {
			if host == name || strings.HasSuffix(host, "."+name) {
				return nil
			}
		}
		allowed = append(slices.Clone(c.dns), "and names below these")
	}
	return &NameError{Name: s.String(), Outside: true,
		Reason: "is outside what this authority may sign for (" + strings.Join(allowed, ", ") + ")"}
}

// apply writes the constraints into the template of an authority certificate.
func (c *constraints) apply(template *x509.Certificate) {
	if c.unconstrained {
		return
	}
	template.PermittedDNSDomainsCritical = true
	template.PermittedDNSDomains = c.dns
	for _, prefix := range c.ips {
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{
			IP:   prefix.Addr().AsSlice(),
			Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		})
	}
}

// constraintsOf reads back what apply wrote. A kind of name that a certificate
// does not mention is not constrained by it (RFC 5280 §4.2.1.10), but apply
// always writes both kinds or neither.
func constraintsOf(cert *x509.Certificate) (constraints, error) {
	if len(cert.PermittedDNSDomains) == 0 && len(cert.PermittedIPRanges) == 0 {
		return constraints{unconstrained: true}, nil
	}
	c := constraints{dns: cert.PermittedDNSDomains}
	for _, ipNet := range cert.PermittedIPRanges {
		addr, ok := netip.AddrFromSlice(ipNet.IP)
		ones, bits := ipNet.Mask.Size()
		if !ok || bits != addr.BitLen() {
			return constraints{}, fmt.Errorf("the name constraint %v is not an address range", ipNet)
		}
		c.ips = append(c.ips, netip.PrefixFrom(addr, ones))
	}
	return c, nil
}
