package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"rtcdev/certs/acmecert"
	"rtcdev/devserver"
)

// acmeOptions are for certificates of an ACME authority, of serve --acme and certs acme.
type acmeOptions struct {
	names     []string
	email     string
	directory string // of the authority; empty for Let's Encrypt's
	rootFile  string
	staging   bool
	profile   string
	dnsHook   string
	resolvers []string
	challenge string
	httpPort  int

	// These are of certs acme alone.
	tlsPort           int
	certFile, keyFile string // copies
}

// acmeFlags adds the flags that both commands have.
func acmeFlags(f *pflag.FlagSet, o *acmeOptions) {
	f.StringVar(&o.email, "email", "", "where the ACME authority writes to when something is wrong: an `address` that you read")
	f.StringVar(&o.directory, "acme-ca", "", "ask this ACME authority, by the `URL` of its directory, instead of Let's Encrypt")
	f.StringVar(&o.rootFile, "acme-root", "", "PEM `file` with the root of the ACME authority's own https certificate")
	f.BoolVar(&o.staging, "staging", false, "try it with Let's Encrypt's staging authority, which no browser trusts")
	f.StringVar(&o.profile, "acme-profile", "", "`kind` of certificate, where the authority has several")
	f.StringVar(&o.dnsHook, "dns-hook", "", "have names checked by DNS-01: this `program` is called as PROGRAM present|cleanup NAME VALUE")
	f.StringArrayVar(&o.resolvers, "dns-resolver", nil, "`address` of a DNS server to look for that record at")
	f.StringVar(&o.challenge, "challenge", "", "have names checked in this `way` only: http-01, tls-alpn-01 or dns-01")
	f.IntVar(&o.httpPort, "http-challenge-port", 80, "`port` at which arrives what the authority sends to port 80")
}

// check finds flags that do not fit together, before package acmecert sees them.
func (o *acmeOptions) check(command string) error {
	switch {
	case o.staging && o.directory != "":
		return usage("leave one of them out", "--staging and --acme-ca name two authorities")
	case len(o.names) > 0 && strings.HasPrefix(o.names[0], "-"):
		return usage("rtcdev serve --acme call.example.com", "--acme needs the name that people use, not %q", o.names[0])
	case o.httpPort < 1 || o.httpPort > 65535:
		return usage(command+" --help", "%d is not a port for --http-challenge-port: choose one from 1 to 65535", o.httpPort)
	}
	return nil
}

// checkACME settles what --acme means for serve's other flags.
func (o *serveOptions) checkACME(f *pflag.FlagSet) error {
	if len(o.acme.names) == 0 {
		if f.Changed("acme") {
			return usage("rtcdev serve --acme call.example.com", "--acme names nothing")
		}
		for _, name := range []string{"email", "acme-ca", "acme-root", "staging", "acme-profile", "dns-hook", "dns-resolver", "challenge", "http-challenge-port"} {
			if f.Changed(name) {
				return usage("rtcdev serve --acme call.example.com, with the name that people use", "--%s is about the certificate of a public name, which --acme gives", name)
			}
		}
		return nil
	}
	if o.certFile != "" || o.keyFile != "" {
		return usage("for a copy: rtcdev certs acme "+quoted(o.acme.names[0])+" --cert-file cert.pem --key-file key.pem; else leave them out",
			"--cert-file and --key-file are a certificate of your own here, and --acme gets another one")
	}
	if o.port != 0 && o.port == o.acme.httpPort && o.acme.listensForHTTP() {
		return usage("choose another port for one of them", "port %d cannot be both: --port is for HTTPS, --http-challenge-port for what the authority looks at", o.port)
	}
	o.strictPort = o.strictPort || o.port != 0 // the name, the firewall and the authority go by it
	if !f.Changed("host") {                    // a public name is for others
		o.host = devserver.AllInterfaces
	}
	if !f.Changed("trust") { // nobody needs the local authority for it
		o.trust = "no"
	}
	return o.acme.check("rtcdev serve")
}

// listensForHTTP tells whether the authority may look at port 80.
func (o *acmeOptions) listensForHTTP() bool {
	return o.challenge == "" && o.dnsHook == "" || acmecert.Challenge(o.challenge) == acmecert.HTTP01
}

// authority is the address of the authority's directory.
func (o *acmeOptions) authority() string {
	switch {
	case o.staging:
		return acmecert.LetsEncryptStaging
	case o.directory != "":
		return o.directory
	}
	return acmecert.LetsEncrypt
}

// authorityHost is what people see of it.
func (o *acmeOptions) authorityHost() string {
	u, err := url.Parse(o.authority())
	if err != nil {
		return o.authority()
	}
	return u.Host
}

// acmeDir is where certificates of ACME authorities are kept.
func acmeDir() (string, error) {
	dir, err := home()
	return filepath.Join(dir, "acme"), err
}

// manager is package acmecert's for these options.
func (a *app) manager(o acmeOptions, folder, host string, onEvent func(acmecert.Event)) (*acmecert.Manager, error) {
	if net.ParseIP(host) == nil {
		host = ""
	}
	cfg := acmecert.Config{
		Names: o.names, Email: o.email, Directory: o.authority(), Profile: o.profile, Folder: folder,
		Challenge: acmecert.Challenge(o.challenge), DNSHook: o.dnsHook, Resolvers: o.resolvers,
		HTTPPort: o.httpPort, TLSPort: o.tlsPort, ListenHost: host, CertFile: o.certFile, KeyFile: o.keyFile,
		OnEvent: onEvent, Log: a.logger(),
	}
	if o.rootFile != "" {
		const next = "give the PEM file with the root that signed the authority's own certificate, such as step-ca's root_ca.crt"
		text, err := os.ReadFile(o.rootFile)
		if err != nil {
			return nil, &fault{fmt.Errorf("reading --acme-root: %w", err), next, exitFailed}
		}
		cfg.Roots = x509.NewCertPool()
		if !cfg.Roots.AppendCertsFromPEM(text) {
			return nil, &fault{fmt.Errorf("reading --acme-root: there is no certificate in %s", quoted(o.rootFile)), next, exitFailed}
		}
	}
	m, err := acmecert.New(cfg)
	return m, acmeFault(err)
}

// checkManager finds what is wrong with the options, and leaves nothing behind.
func (a *app) checkManager(o serveOptions) error {
	if len(o.acme.names) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "rtcdev-acme-")
	if err != nil {
		return fmt.Errorf("making a folder to try the settings in: %w", err)
	}
	defer os.RemoveAll(dir)
	_, err = a.manager(o.acme, dir, o.host, nil)
	return err
}

// useACME has the server show certificates of an ACME authority for the public names, and
// what it would show otherwise until they are there, and for all else.
func (s *servePrinter) useACME(cfg *devserver.Config) (*acmecert.Manager, error) {
	dir, err := acmeDir()
	if err != nil {
		return nil, err
	}
	o := s.options.acme
	tell := func(devserver.Certificate) {} // until the server runs
	m, err := s.manager(o, dir, s.options.host, func(e acmecert.Event) { tell(certificateEvent(e, o.authorityHost())) })
	if err != nil {
		return nil, err
	}
	s.names, cfg.Names = m.Names(), m.Names()
	if strings.ContainsRune(o.dnsHook, filepath.Separator) { // it may hold the key to the DNS
		cfg.Private = append(cfg.Private, o.dnsHook)
	}
	cfg.KeepCertificates = func(ctx context.Context, port int, t func(devserver.Certificate)) {
		tell = t
		m.Run(ctx, port)
	}
	cfg.CertificateHealth = func() any {
		reports := acmeReports(m.States())
		for i := range reports {
			reports[i].hide()
		}
		return reports
	}
	return m, nil
}

// certificateEvent is a manager's event in the words of the server's.
func certificateEvent(e acmecert.Event, authority string) devserver.Certificate {
	c := devserver.Certificate{
		Name: e.Name, State: string(e.Kind), Authority: authority, Terms: e.Terms, Issuer: e.Issuer, NotAfter: e.NotAfter, RetryAt: e.Next,
	}
	if e.Problem != nil {
		c.Problem, c.Next = oneLine(e.Problem.Error()), oneLine(e.Problem.Fix)
	}
	return c
}

// oneLine is text from outside as it can stand in a line: without what moves a terminal's
// cursor.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// certificateLines says how it goes with a certificate; what follows the first line is put
// below it.
func certificateLines(e devserver.Certificate) []string {
	switch acmecert.EventKind(e.State) {
	case acmecert.Registering:
		lines := []string{"Registering with " + e.Authority + "…"}
		if e.Terms != "" {
			lines = append(lines, "By going on you agree to the authority's terms of service: "+oneLine(e.Terms))
		}
		return lines
	case acmecert.Ordering:
		return []string{fmt.Sprintf("%s: asking %s for a certificate…", e.Name, e.Authority)}
	case acmecert.Found, acmecert.Obtained:
		return []string{fmt.Sprintf("✓ %s has a certificate of %s until %s", e.Name, oneLine(e.Issuer), ending(e.NotAfter))}
	case acmecert.Waiting:
		return []string{e.Name + ": waiting until its record is seen in the DNS, two minutes at most…"}
	case acmecert.Renewed:
		return []string{fmt.Sprintf("✓ %s has a new certificate of %s until %s", e.Name, oneLine(e.Issuer), ending(e.NotAfter))}
	}
	lines := []string{e.Name + ": " + e.Problem}
	if e.Next != "" {
		lines = append(lines, "next: "+e.Next)
	}
	again := ""
	if !e.RetryAt.IsZero() {
		again = "It is tried again " + soonOrAt(e.RetryAt) + "."
	}
	switch {
	case e.NotAfter.IsZero():
	case e.NotAfter.After(time.Now()):
		again += " The certificate in use is good until " + ending(e.NotAfter) + "."
	default:
		again += " The certificate in use ended at " + moment(e.NotAfter) + ": browsers refuse it."
	}
	if again != "" {
		lines = append(lines, strings.TrimSpace(again))
	}
	return lines
}

// soonOrAt is when something happens: in so many seconds or minutes, or the time.
func soonOrAt(t time.Time) string {
	left := time.Until(t).Round(time.Second)
	switch {
	case left < 2*time.Minute:
		return fmt.Sprintf("in %d s", max(1, int(left.Seconds())))
	case left < 2*time.Hour:
		return fmt.Sprintf("in %d min", int(left.Minutes()))
	}
	return "at " + moment(t)
}

// ending is when a certificate ends: the day, and the time too when it is soon.
func ending(t time.Time) string {
	const soon = 10 * 24 * time.Hour
	if time.Until(t) < soon {
		return moment(t)
	}
	return t.Local().Format(time.DateOnly)
}

// repeatAfter is how long a fault goes on before it is told again.
const repeatAfter = time.Hour

// isRepeated tells whether an event is one more try, or its failure, of what has been told.
func (s *servePrinter) isRepeated(e devserver.Certificate) bool {
	told, isBad := s.faults[e.Name]
	switch acmecert.EventKind(e.State) {
	case acmecert.Ordering, acmecert.Registering:
		return isBad
	case acmecert.Failed:
		what, _, _ := strings.Cut(e.Problem, ": ")                    // what follows may have another number each time
		hasEnded := !e.NotAfter.IsZero() && !e.NotAfter.After(e.Time) // since then
		if isBad && told.what == what && e.Time.Sub(told.at) < repeatAfter && hasEnded == told.hadEnded {
			return true
		}
		s.faults[e.Name] = toldFault{what, e.Time, hasEnded}
		return false
	case acmecert.Leftover, acmecert.Waiting:
		return isBad
	}
	delete(s.faults, e.Name)
	s.certified[e.Name] = true
	return false
}

// toldFault is what was told of a certificate that could not be had.
type toldFault struct {
	what     string
	at       time.Time
	hadEnded bool // the certificate, by then
}

// certificate prints what happens to a certificate while the server runs.
func (s *servePrinter) certificate(e devserver.Certificate) {
	if s.isRepeated(e) {
		return
	}
	start := e.Time.Local().Format("15:04:05") + "  "
	for _, line := range certificateLines(e) {
		if e.State == string(acmecert.Failed) { // with --quiet, too
			fmt.Fprintf(s.err, "%s%s\n", start, line)
		} else {
			s.note("%s%s\n", start, line)
		}
		start = "          "
	}
	has := e.State == string(acmecert.Found) || e.State == string(acmecert.Obtained)
	if has && s.opensLater && e.Name == s.publicName() {
		s.opensLater = false
		s.openRoom(s.server)
	}
}

// whoTrusts says whose browsers take the certificates of the public names.
func (s *servePrinter) whoTrusts() {
	o := s.options.acme
	var coming []string
	for _, name := range s.names {
		if !s.certified[name] {
			coming = append(coming, name)
		}
	}
	names, when := strings.Join(coming, ", "), ", as soon as "
	if len(coming) == 0 {
		names, when = strings.Join(s.names, ", "), ""
	}
	switch {
	case o.staging:
		s.line("Trust", "%s", s.bad.Sprint("no browser: Let's Encrypt's staging is for trying things out"))
	case o.directory != "":
		if when != "" {
			when += "it has signed for"
		} else {
			when = ", for"
		}
		s.line("Trust", "browsers that trust the authority %s%s", o.authorityHost(), when)
		s.line("", "%s", names)
	default:
		if when != "" {
			when += "there is a certificate for"
		} else {
			when = ", for"
		}
		s.line("Trust", "every browser%s", when)
		s.line("", "%s", names)
	}
}

// acmeReport is what JSON tells of a certificate.
type acmeReport struct {
	Name      string    `json:"name"`
	Authority string    `json:"authority,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	Cert      string    `json:"cert,omitempty"` // files
	Key       string    `json:"key,omitempty"`
	CertCopy  string    `json:"certCopy,omitempty"`
	KeyCopy   string    `json:"keyCopy,omitempty"`
	// Problem is why the last try to get or renew it failed, at FailedAt.
	Problem  string    `json:"problem,omitempty"`
	Kind     string    `json:"problemKind,omitempty"`
	Next     string    `json:"next,omitempty"`
	FailedAt time.Time `json:"failedAt,omitzero"`
	RetryAt  time.Time `json:"retryAt,omitzero"`

	what string // the problem without where it comes from
}

func acmeReports(states []acmecert.State) []acmeReport {
	reports := make([]acmeReport, len(states))
	for i, s := range states {
		reports[i] = acmeReport{
			Name: s.Name, Authority: s.Authority, Issuer: oneLine(s.Issuer), NotAfter: s.NotAfter, Cert: s.CertFile, Key: s.KeyFile,
		}
		if p := s.Problem; p != nil {
			r := &reports[i]
			r.Problem, r.Kind, r.Next, r.what = oneLine(p.Error()), string(p.Kind), oneLine(p.Fix), oneLine(p.What)
			r.FailedAt, r.RetryAt = s.FailedAt, s.Next
		}
	}
	return reports
}

// hide leaves out what is not for strangers: paths, and what a program of the person's said.
func (r *acmeReport) hide() { r.Cert, r.Key, r.Next, r.Problem = "", "", "", r.what }

// good tells whether there is a certificate to use.
func (r *acmeReport) good() bool { return r.NotAfter.After(time.Now()) }

// acmeFault adds the next step and the exit code.
func acmeFault(err error) error {
	var p *acmecert.Problem
	if !errors.As(err, &p) {
		return err
	}
	exit := exitFailed
	switch p.Kind {
	case acmecert.BadSetting:
		exit = exitUsage
	case acmecert.PortTaken:
		exit = exitPortTaken
	case acmecert.Interrupted:
		exit = exitInterrupted
	}
	return &fault{errors.New(oneLine(p.Error())), oneLine(p.Fix), exit}
}
