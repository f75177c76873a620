package acmecert

import (
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
)

// Directories of Let's Encrypt, whose certificates every browser trusts, and of its
// staging authority, whose none does: https://letsencrypt.org/docs/staging-environment/.
const (
	LetsEncrypt        = certmagic.LetsEncryptProductionCA
	LetsEncryptStaging = certmagic.LetsEncryptStagingCA
)

// A Challenge is a way for the authority to check a name.
type Challenge string

// The challenges: RFC 8555 §8.3 and §8.4, RFC 8737.
const (
	HTTP01    Challenge = "http-01"
	TLSALPN01 Challenge = "tls-alpn-01"
	DNS01     Challenge = "dns-01"
)

// The ports that authorities connect to: RFC 8555 §8.3 and RFC 8737 §3.
const (
	httpChallengePort = 80
	tlsChallengePort  = 443
)

// Config says which certificates to get, from whom, and how the authority checks the names.
type Config struct {
	// Names are host names, in any script; *.host with DNSHook; or IP addresses.
	Names []string
	// Email is where the authority writes to when something is wrong; it may be empty.
	Email string
	// Directory is the https address of the authority (RFC 8555 §7.1.1); default [LetsEncrypt].
	Directory string
	// Roots are what the authority's own certificate is checked against; default the system's.
	Roots *x509.CertPool
	// Profile, if set, is one of the kinds of certificates that the authority offers
	// (draft-aaron-acme-profiles).
	Profile string
	// Folder is where account, keys and certificates are kept. It is made if it is not there.
	Folder string

	// Challenge, if set, is the only one used. By default it is DNS-01 with DNSHook, else
	// HTTP-01; for a server at port 443 TLS-ALPN-01 and HTTP-01, in turns.
	Challenge Challenge
	// DNSHook is a program that is called as `PROGRAM present NAME VALUE` to put the TXT
	// record NAME, such as _acme-challenge.example.com, into the DNS, and as `PROGRAM
	// cleanup NAME VALUE` to take it away.
	DNSHook string
	// Resolvers, as host:port, are asked for the record until it is there; default the system's,
	// and then the servers of the zone themselves.
	Resolvers []string
	// HTTPPort is where what comes to port 80 arrives; default 80.
	HTTPPort int
	// TLSPort is where what comes to port 443 arrives, for [Manager.Obtain]; default 443.
	TLSPort int
	// ListenHost is the address to open these ports on; default all.
	ListenHost string

	// CertFile and KeyFile, if set, get a copy of the certificate (PEM, with its chain) and of its
	// key, now and on every renewal from this folder, whoever does it. They need a single name.
	CertFile, KeyFile string

	// OnEvent, if set, hears what happens. Calls come one at a time and must return soon.
	OnEvent func(Event)
	// Log, if set, gets what only someone looking for a fault wants to see.
	Log *slog.Logger
}

// checked returns the configuration with its defaults, after finding what is wrong with it.
func (c Config) checked() (Config, error) {
	if c.Directory == "" {
		c.Directory = LetsEncrypt
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.HTTPPort == 0 {
		c.HTTPPort = httpChallengePort
	}
	if c.TLSPort == 0 {
		c.TLSPort = tlsChallengePort
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	for _, check := range []func(*Config) error{
		checkDirectory, checkEmail, checkChallenge, checkPorts, checkResolvers, checkCopies, checkNames,
	} {
		if err := check(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

func checkDirectory(c *Config) error {
	u, err := url.Parse(c.Directory)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return &Problem{Kind: BadSetting, What: "the authority is given by the https address of its directory, not " + strconv.Quote(c.Directory),
			Fix: "such as https://ca.internal/acme/acme/directory for step-ca, or " + LetsEncrypt}
	}
	return nil
}

func checkPorts(c *Config) error {
	for _, port := range []int{c.HTTPPort, c.TLSPort} {
		if port < 1 || port > 65535 {
			return &Problem{Kind: BadSetting, What: strconv.Itoa(port) + " is no port", Fix: "choose one from 1 to 65535"}
		}
	}
	if c.ListenHost != "" && net.ParseIP(c.ListenHost) == nil {
		return &Problem{Kind: BadSetting, What: strconv.Quote(c.ListenHost) + " is not an IP address", Fix: "give one of this machine's"}
	}
	return nil
}

func checkResolvers(c *Config) error {
	for i, r := range c.Resolvers {
		if ip, err := netip.ParseAddr(r); err == nil {
			c.Resolvers[i] = net.JoinHostPort(ip.String(), "53")
			continue
		}
		if _, err := netip.ParseAddrPort(r); err != nil {
			return &Problem{Kind: BadSetting, What: strconv.Quote(r) + " is not the address of a DNS server", Fix: "give an IP address, or ADDRESS:PORT"}
		}
	}
	return nil
}

func checkChallenge(c *Config) error {
	switch c.Challenge {
	case "":
		if c.DNSHook != "" {
			c.Challenge = DNS01
		}
	case HTTP01, TLSALPN01, DNS01:
	default:
		return &Problem{Kind: BadSetting, What: strconv.Quote(string(c.Challenge)) + " is no way to check a name",
			Fix: "choose http-01, tls-alpn-01 or dns-01"}
	}
	if (c.Challenge == DNS01) != (c.DNSHook != "") {
		return &Problem{Kind: BadSetting, What: "dns-01 and the program that changes the DNS belong together", Fix: "give --dns-hook PROGRAM, and no other challenge"}
	}
	if c.DNSHook == "" {
		return nil
	}
	path, err := exec.LookPath(c.DNSHook)
	if err != nil {
		return &Problem{Kind: BadSetting, What: "the program of --dns-hook cannot be run", Err: err,
			Fix: "give the path of a program that you may run (chmod +x), such as ./hook.sh"}
	}
	c.DNSHook = path
	return nil
}

func checkCopies(c *Config) error {
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return &Problem{Kind: BadSetting, What: "a copy of the certificate is of no use without its key", Fix: "give --cert-file and --key-file both"}
	case c.CertFile != "" && len(c.Names) > 1:
		return &Problem{Kind: BadSetting, What: "each name gets a certificate of its own, and a file has room for one", Fix: "run the command once for each name"}
	case c.CertFile != "" && c.CertFile == c.KeyFile:
		return &Problem{Kind: BadSetting, What: "the certificate and its key go into two files", Fix: "give --cert-file and --key-file different names"}
	}
	return nil
}

// host is the authority's, for people.
func (c *Config) host() string {
	u, err := url.Parse(c.Directory)
	if err != nil {
		return c.Directory
	}
	return u.Host
}

// issuerKey names the authority in the folder, as certmagic does.
func (c *Config) issuerKey() string { return (&certmagic.ACMEIssuer{CA: c.Directory}).IssuerKey() }

// by returns a copy with the challenge that was tried, for words about it.
func (c Config) by(challenge Challenge) *Config {
	if challenge != "" {
		c.Challenge = challenge
	}
	return &c
}

// lookInterval is how often a certificate with this life is looked after: certificates of
// days every ten minutes, those of minutes every few seconds.
func lookInterval(life time.Duration) time.Duration {
	const shortest, longest, parts = time.Second, 10 * time.Minute, 60
	return min(longest, max(shortest, life/parts))
}

// isPublic tells whether the authority's certificates are for the whole internet, so that it
// keeps to the CA/Browser Forum's Baseline Requirements (§7.1.2.7.12: no internal names,
// no reserved addresses).
func (c *Config) isPublic() bool {
	u, err := url.Parse(c.Directory)
	if err != nil {
		return false
	}
	for _, known := range []string{"letsencrypt.org", "pki.goog", "zerossl.com", "buypass.com", "ssl.com", "sectigo.com", "digicert.com", "globalsign.com", "actalis.com"} {
		if host := strings.ToLower(u.Hostname()); host == known || strings.HasSuffix(host, "."+known) {
			return true
		}
	}
	return false
}
