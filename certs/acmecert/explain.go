package acmecert

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// explain puts what went wrong for a name into words. later is when the authority said that it
// wants to be asked again, if it did.
func (c *Config) explain(name string, err error, later time.Time) *Problem {
	var known *Problem
	var problem acme.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled):
		return &Problem{Kind: Interrupted, What: "it was interrupted", Fix: "start it again"}
	case errors.As(err, &problem):
		return c.explainProblem(name, mostTelling(problem, name), later)
	case !later.IsZero(): // it says no more than that
		return c.limited(later, errors.New(bare(err)))
	}
	var file *fs.PathError // before the network: its errors are the system's, too
	if errors.As(err, &file) {
		return folderProblem(err)
	}
	if p := c.explainLine(err); p != nil {
		return p
	}
	return &Problem{Kind: OtherProblem, Err: errors.New(bare(err)), What: "getting a certificate for " + name + " failed", Fix: eachStep}
}

const eachStep = "the same command with -v shows each step"

// bare is what an error says without the names and steps that certmagic puts before it.
func bare(err error) string {
	text := err.Error()
	for _, step := range []string{"] Obtain: ", "] Renew: ", "solving challenges: "} {
		if _, after, found := strings.Cut(text, step); found {
			text = after
		}
	}
	return oneLine(text)
}

// explainLine is for a connection to the authority that failed.
func (c *Config) explainLine(err error) *Problem {
	var unknown x509.UnknownAuthorityError
	var wrong x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var lookup *net.DNSError
	var network net.Error
	var op *net.OpError
	host := c.host()
	switch {
	case errors.As(err, &unknown):
		return &Problem{Kind: NotTrusted, Err: err, What: "this machine does not trust the authority at " + host,
			Fix: "give the root of its own certificate: --acme-root FILE (PEM)"}
	case errors.As(err, &wrong), errors.As(err, &invalid):
		return &Problem{Kind: NotTrusted, Err: err, What: "the authority at " + host + " shows a certificate that is not good",
			Fix: "check the address (--acme-ca) and this machine's clock"}
	case errors.As(err, &noTLS):
		return &Problem{Kind: NoAuthority, Err: err, What: host + " does not speak HTTPS", Fix: "check the address of the authority: --acme-ca"}
	case errors.As(err, &op) && op.Op == "listen":
		return &Problem{Kind: PortTaken, Err: err, What: "the port for the authority cannot be opened", Fix: "stop the program that has it, or use --dns-hook"}
	case errors.As(err, &lookup):
		return &Problem{Kind: NoAuthority, Err: err, What: "the authority " + host + " is not found",
			Fix: "check the network of this machine, and the address of the authority: --acme-ca"}
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return &Problem{Kind: NoAuthority, Err: err, What: "the authority at " + host + " does not answer",
			Fix: "check the network of this machine, and that the authority runs"}
	}
	return nil
}

// mostTelling looks past a problem that only holds others (RFC 8555 §6.7.1).
func mostTelling(p acme.Problem, name string) acme.Problem {
	for _, sub := range p.Subproblems {
		if sub.Identifier.Value == name || len(p.Subproblems) == 1 {
			sub.Resource = p.Resource
			return sub.Problem
		}
	}
	return p
}

// explainProblem is for what the authority says: RFC 8555 §6.7.
func (c *Config) explainProblem(name string, p acme.Problem, later time.Time) *Problem {
	says := fmt.Errorf("%s says %q", c.host(), oneLine(cmp.Or(p.Detail, p.Title, p.Type, "nothing more")))
	made := func(kind Kind, what, fix string) *Problem {
		return &Problem{Kind: kind, What: what, Fix: fix, Err: says}
	}
	_, ofACheck := p.Resource.(acme.Authorization)
	switch p.Type {
	case acme.ProblemTypeDNS, acme.ProblemTypeConnection, acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse, acme.ProblemTypeTLS:
		if !ofACheck && p.Type == acme.ProblemTypeUnauthorized { // RFC 8555 §7.3.6
			return made(BadAccount, "the authority does not take this account", c.otherAccount())
		}
		return c.explainCheck(name, p, made)
	case acme.ProblemTypeCAA:
		return made(Forbidden, "the CAA records of "+name+" forbid this authority",
			"let the owner of the domain add a CAA record for it, or choose an authority that is allowed: --acme-ca")
	case acme.ProblemTypeRateLimited:
		if stated := statedTime(p.Detail); !stated.IsZero() {
			later = stated
		}
		return c.limited(later, says)
	case acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		return made(Refused, "the authority gives no certificates for "+name, "use another name, or another authority: --acme-ca")
	case acme.ProblemTypeExternalAccountRequired:
		return made(BadAccount, "the authority wants an account that you have made with it, which rtcdev does not support", "choose another authority: --acme-ca")
	case acme.ProblemTypeAccountDoesNotExist, acme.ProblemTypeBadPublicKey, acme.ProblemTypeBadSignatureAlgorithm:
		return made(BadAccount, "the authority does not take this account", c.otherAccount())
	case acme.ProblemTypeInvalidContact, acme.ProblemTypeUnsupportedContact:
		return made(BadAccount, "the authority does not take the e-mail address "+c.Email, "give another: --email")
	case acme.ProblemTypeUserActionRequired:
		return made(Terms, "the authority has new terms of service, which you have to agree to", "open "+cmp.Or(oneLine(p.Instance), "the authority's page")+" and agree, then start again")
	case "urn:ietf:params:acme:error:invalidProfile": // draft-aaron-acme-profiles §5
		return made(BadSetting, "the authority has no profile "+c.Profile, "leave out --acme-profile, or name one that it has")
	case acme.ProblemTypeServerInternal:
		broken := made(NoAuthority, "the authority at "+c.host()+" has a fault of its own", "wait: a running server tries again")
		broken.Until = later
		return broken
	}
	return made(OtherProblem, "the authority gives no certificate for "+name, eachStep)
}

// explainCheck is for a check of a name that failed.
func (c *Config) explainCheck(name string, p acme.Problem, made func(Kind, string, string) *Problem) *Problem {
	isDNS := p.Type == acme.ProblemTypeDNS || p.Type == acme.ProblemTypeConnection && strings.Contains(p.Detail, "resolve") // Pebble's way
	switch {
	case isDNS && (strings.Contains(p.Detail, "CAA") || strings.Contains(p.Detail, "SERVFAIL")):
		return made(NoName, "the DNS servers of "+name+" do not answer as they should", "see what is wrong with the domain: dig CAA "+name)
	case c.Challenge == DNS01:
		return made(WrongAnswer, "the authority does not find the record that shows that "+name+" is yours",
			"see with dig TXT _acme-challenge."+strings.TrimPrefix(name, "*.")+" whether --dns-hook puts it where everybody sees it")
	case isDNS:
		return made(NoName, "the name "+name+" does not lead to this machine",
			"make an A or AAAA record for "+name+" with this machine's public address; for an address of your own network use --dns-hook")
	case p.Type == acme.ProblemTypeConnection:
		return made(NotReached, "the authority cannot connect to "+name, c.openPorts(name))
	}
	return made(WrongAnswer, "something other than rtcdev answers at "+name, "check that the name leads to this machine, and "+c.openPorts(name))
}

// limited is for an authority that takes no order before a time, if it says one.
func (c *Config) limited(until time.Time, says error) *Problem {
	p := &Problem{Kind: RateLimited, What: "the authority gives no more certificates for now", Until: until, Err: says,
		Fix: "wait until then, or choose another authority: --acme-ca"}
	if c.Directory == LetsEncrypt {
		p.Fix = "try with --staging until it works, and then again without"
	}
	if !until.IsZero() {
		p.What = "the authority gives no more certificates until " + until.Local().Format("2006-01-02 15:04 MST")
	}
	return p
}

// otherAccount says how to have another account made.
func (c *Config) otherAccount() string {
	return "have a new account made: remove " + filepath.Join(c.Folder, "acme", certmagic.StorageKeys.Safe(c.issuerKey())) + " and start again"
}

// openPorts says what has to be open for the authority.
func (c *Config) openPorts(name string) string {
	port, here := "port 80", c.HTTPPort
	if c.Challenge == TLSALPN01 {
		port, here = "port 443", c.TLSPort
	}
	if here != httpChallengePort && here != tlsChallengePort && here != 0 {
		return fmt.Sprintf("see that %s of %s leads to port %d of this machine, or show that the name is yours with --dns-hook", port, name, here)
	}
	return "open " + port + " of " + name + " to the internet (firewall, router), or show that the name is yours with --dns-hook"
}

// folderProblem is for a folder that cannot be used.
func folderProblem(err error) *Problem {
	what, fix := "the folder for certificates cannot be used", "give yourself write access to it, or choose another folder for rtcdev's data: RTCDEV_HOME"
	if errors.Is(err, syscall.ENOSPC) {
		fix = "make room on the disk"
	}
	return &Problem{Kind: BadFolder, What: what, Fix: fix, Err: err}
}

// statedTime finds when a rate limit ends in what Let's Encrypt says of it, such as "retry after
// 2026-11-25 10:00:00 UTC" or "…T10:00:00Z" (https://letsencrypt.org/docs/rate-limits/).
func statedTime(detail string) time.Time {
	found := regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d) ?(?:UTC|Z)`).FindStringSubmatch(detail)
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.DateTime, found[1]+" "+found[2])
	if err != nil {
		return time.Time{}
	}
	return at
}

// longestLine is as much of somebody else's words as a person wants to read.
const longestLine = 300

// oneLine makes words of others fit to be shown: on one line, without control characters, which a
// terminal would obey, and not too long.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, text)), " ")
	if runes := []rune(text); len(runes) > longestLine {
		text = string(runes[:longestLine]) + "…"
	}
	return text
}
