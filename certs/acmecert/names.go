package acmecert

import (
	"net/mail"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/certmagic"
	"golang.org/x/net/idna"
)

// checkNames brings the names into the form of certificates, and finds those that the
// authority cannot give one for.
func checkNames(c *Config) error {
	if len(c.Names) == 0 {
		return &Problem{Kind: BadSetting, What: "a certificate needs a name to be for", Fix: "give the host name that people use, such as call.example.com"}
	}
	names := make([]string, 0, len(c.Names))
	for _, name := range c.Names {
		normal, err := c.checkName(name)
		if err != nil {
			return err
		}
		if !slices.Contains(names, normal) {
			names = append(names, normal)
		}
	}
	c.Names = names
	return nil
}

func (c *Config) checkName(name string) (string, error) {
	bad := func(why, fix string) (string, error) {
		return "", &Problem{Kind: BadSetting, What: strconv.Quote(name) + " " + why, Fix: fix}
	}
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return c.checkAddress(ip.Unmap())
	}
	host, wildcard := strings.CutPrefix(name, "*.")
	const alone, letters = "give the name alone, such as call.example.com, without https:// or a port",
		"a name is letters, digits and - in parts with dots between, such as call.example.com"
	form := letters
	if strings.ContainsAny(name, ":/") {
		form = alone
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || ascii == "" || len(ascii) > 253 {
		return bad("is not a host name", form)
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 || strings.IndexFunc(label, notInHosts) >= 0 {
			return bad("is not a host name", form)
		}
	}
	if wildcard && c.DNSHook == "" {
		return bad("is for many names, which authorities check by the DNS alone", "give --dns-hook PROGRAM, or name each host")
	}
	if c.isPublic() && isInternal(ascii) {
		return bad("is a name of your own network, and no public authority gives certificates for those",
			"rtcdev certs "+ascii+" makes one with your local authority; or use a name that you have registered, with --dns-hook")
	}
	if wildcard {
		ascii = "*." + ascii
	}
	return ascii, nil
}

// notInHosts tells whether a character cannot be in a host name (RFC 1123 §2.1).
func notInHosts(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

// isInternal tells whether a name means something in one network only: it has one label, or
// ends with a name that is reserved or never delegated (RFC 6761, RFC 6762, RFC 7686, RFC 8375,
// RFC 9476; ICANN's resolutions on .internal, .home, .corp and .mail; .lan by custom).
func isInternal(name string) bool {
	if !strings.Contains(name, ".") || !certmagic.SubjectQualifiesForPublicCert(name) {
		return true
	}
	for _, last := range []string{"local", "localhost", "test", "invalid", "example", "onion", "home.arpa", "alt", "internal", "home", "corp", "mail", "lan"} {
		if strings.HasSuffix(name, "."+last) {
			return true
		}
	}
	return false
}

func (c *Config) checkAddress(ip netip.Addr) (string, error) {
	text := ip.WithZone("").String()
	bad := func(why, fix string) (string, error) {
		return "", &Problem{Kind: BadSetting, What: text + " " + why, Fix: fix}
	}
	switch {
	case c.DNSHook != "": // RFC 8738 §7
		return bad("is an address, and addresses are not checked by the DNS", "leave out --dns-hook, or use a name")
	case c.isPublic() && (!ip.IsGlobalUnicast() || ip.IsPrivate() || sharedSpace().Contains(ip) || !certmagic.SubjectQualifiesForPublicCert(text)):
		return bad("is an address of your own network, and no public authority gives certificates for those",
			"rtcdev certs "+text+" makes one with your local authority; or use a name that you have registered, with --dns-hook")
	case ip.IsUnspecified() || ip.IsMulticast():
		return bad("is no address of a machine", "give the address that people use")
	}
	return text, nil
}

// sharedSpace is for networks behind a provider's translation (RFC 6598).
func sharedSpace() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

// checkEmail finds addresses that authorities refuse (RFC 8555 §7.3: one address, no header
// fields).
func checkEmail(c *Config) error {
	if c.Email == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(c.Email)
	_, domain, _ := strings.Cut(c.Email, "@")
	if err != nil || parsed.Address != c.Email || !strings.Contains(domain, ".") || strings.ContainsAny(c.Email, ",?% ") {
		return &Problem{Kind: BadSetting, What: strconv.Quote(c.Email) + " is not an e-mail address",
			Fix: "give one that you read, such as --email you@your.domain"}
	}
	if domain := strings.ToLower(domain); c.isPublic() && slices.Contains([]string{"example.com", "example.net", "example.org"}, domain) {
		return &Problem{Kind: BadSetting, What: "nobody reads mail to " + c.Email + ": " + domain + " is for examples", Fix: "give an address that you read"}
	}
	return nil
}
