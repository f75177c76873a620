package acmecert

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// longestLook is how often certificates of an ordinary life are looked after.
const longestLook = 10 * time.Minute

// look reads the certificate for a name, gets one if there is none and renews it when that is
// due. choose says how the authority may check the name, just before an order.
func (m *Manager) look(ctx context.Context, c *managed, choose func(*certmagic.ACMEIssuer) error) error {
	if err := m.storage.probe(); err != nil {
		return err
	}
	issuerKey := m.challenges.Issuers[0].IssuerKey()
	moved, err := m.storage.mend(ctx, issuerKey, c.name)
	if err != nil {
		return err
	}
	for _, aside := range moved {
		m.cfg.Log.Warn("a file of a certificate or account could not be read: its folder was moved aside", "to", aside)
	}
	m.asked.forget()
	t := &try{m: m, c: c, was: c.now(), choose: choose, hadAccount: m.storage.hasAccount(issuerKey)}
	if err = t.manage(ctx); err != nil {
		err = t.again(ctx, err)
	}
	if t.hasPort {
		m.port.Unlock()
	}
	if t.leaf == nil {
		return cmp.Or(err, errNoCertificate)
	}
	c.serving.Store(t.conf) // a certificate whose renewal failed is there all the same
	m.have(c, t.leaf, t.outcome(), err == nil)
	if err == nil {
		err = m.copyOut(c.name)
	}
	return err
}

var errNoCertificate = errors.New("certmagic keeps no certificate")

// try is one try to have a good certificate for a name.
type try struct {
	m          *Manager
	c          *managed
	was        State
	choose     func(*certmagic.ACMEIssuer) error
	hadAccount bool

	ordering, ordered, renewal bool
	hasPort                    bool
	accounts                   int // that were made
	conf                       *certmagic.Config
	leaf                       *x509.Certificate // of what conf serves; nil if it does not
}

// manage has certmagic do all of it, and looks at what there is then.
func (t *try) manage(ctx context.Context) error {
	issuer := t.m.newIssuer(0)
	conf, cache := t.m.newConfig(issuer, func(ctx context.Context, event string, data map[string]any) error {
		switch event {
		case "cert_obtaining":
			t.renewal, _ = data["renewal"].(bool)
			return t.prepare(ctx, issuer)
		case "cert_obtained":
			t.ordered = true
		}
		return nil
	}, lookInterval(t.was.NotAfter.Sub(t.was.NotBefore)))
	issuer.NewAccountFunc = func(ctx context.Context, _ *certmagic.ACMEIssuer, account acme.Account) (acme.Account, error) {
		if t.accounts++; t.accounts == 1 {
			t.m.registering(ctx)
		}
		return account, nil
	}
	err := conf.ManageSync(ctx, []string{t.c.name})
	t.conf, t.leaf = conf, newest(cache.AllMatchingCertificates(t.c.name))
	return err
}

// again does what certmagic does not when the authority was set up anew, so that it knows
// neither the account nor the certificate that is to be replaced.
func (t *try) again(ctx context.Context, err error) error {
	if t.hadAccount && t.accounts > 0 { // it made another account, but ordered for the old one still
		err = t.manage(ctx)
	}
	var problem acme.Problem
	if t.renewal && errors.As(err, &problem) && (problem.Type == acme.ProblemTypeMalformed || problem.Type == acme.ProblemTypeServerInternal) {
		t.conf.DisableARI = true // which leaves out what the certificate replaces (RFC 9773 §5)
		if err = t.conf.RenewCertSync(ctx, t.c.name, true); err == nil {
			err = t.manage(ctx)
		}
	}
	return err
}

// prepare tells of the order, once, and does what is needed before it.
func (t *try) prepare(ctx context.Context, issuer *certmagic.ACMEIssuer) error {
	if !t.ordering {
		t.ordering = true
		t.m.tell(Event{Kind: Ordering, Name: t.c.name, NotAfter: t.was.NotAfter})
	}
	if t.m.cfg.DNSHook == "" && !t.hasPort {
		t.m.port.Lock()
		t.hasPort = true
	}
	return t.m.prepare(ctx, issuer, t.choose)
}

func (t *try) outcome() EventKind {
	switch {
	case t.ordered && t.renewal:
		return Renewed
	case t.ordered:
		return Obtained
	}
	return Found
}

// newest is the leaf that ends last.
func newest(found []certmagic.Certificate) *x509.Certificate {
	if len(found) == 0 {
		return nil
	}
	return slices.MaxFunc(found, func(a, b certmagic.Certificate) int { return a.Leaf.NotAfter.Compare(b.Leaf.NotAfter) }).Leaf
}

// have notes the certificate that there is, and tells of it if it is another than before.
func (m *Manager) have(c *managed, leaf *x509.Certificate, kind EventKind, good bool) {
	c.mu.Lock()
	before := c.state
	c.state = m.stateOf(c.name, leaf)
	if !good {
		c.state.Problem, c.state.FailedAt, c.state.Next = before.Problem, before.FailedAt, before.Next
	}
	state := c.state
	told := c.told
	c.told = leaf.SerialNumber.String()
	c.mu.Unlock()
	if good {
		m.forgetFault(c.name)
	}
	if told != leaf.SerialNumber.String() {
		m.tell(Event{Kind: kind, Name: c.name, Issuer: state.Issuer, NotAfter: state.NotAfter, CertFile: state.CertFile, KeyFile: state.KeyFile})
	}
}

// newConfig returns a configuration of certmagic's with a cache of its own: what is served is
// replaced by putting a new one in its place. The cache's own maintenance is stopped at once, as
// [Manager.keep] does that: with the pauses, the events and the end that we want.
func (m *Manager) newConfig(issuer *certmagic.ACMEIssuer, onEvent func(context.Context, string, map[string]any) error, every time.Duration) (*certmagic.Config, *certmagic.Cache) {
	var conf *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return conf, nil },
		RenewCheckInterval: every, // what it takes for the time until the next look
		Logger:             m.log,
	})
	cache.Stop()
	conf = certmagic.New(cache, certmagic.Config{
		Storage: m.storage, Logger: m.log, OnEvent: onEvent,
		Issuers: []certmagic.Issuer{issuer}, // another one is made else
		// Reading a certificate would wait for the responder. A revoked one is renewed all the
		// same: its authority says so by RFC 9773.
		OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	*issuer = *certmagic.NewACMEIssuer(conf, *issuer)
	if m.cfg.Email == "" {
		conf.Issuers = []certmagic.Issuer{silent{issuer}}
	}
	return conf, cache
}

// silent is an issuer that does not ask for an e-mail address on stdin.
type silent struct{ *certmagic.ACMEIssuer }

func (s silent) PreCheck(ctx context.Context, names []string, _ bool) error {
	return s.ACMEIssuer.PreCheck(ctx, names, false)
}

// newIssuer is for the authority.
func (m *Manager) newIssuer(tlsPort int) *certmagic.ACMEIssuer {
	issuer := &certmagic.ACMEIssuer{
		CA: m.cfg.Directory, Email: m.cfg.Email, Agreed: true, Profile: m.cfg.Profile,
		TrustedRoots: m.cfg.Roots, ListenHost: m.cfg.ListenHost,
		AltHTTPPort: m.cfg.HTTPPort, AltTLSALPNPort: tlsPort, Logger: m.log,
	}
	if m.cfg.DNSHook != "" {
		issuer.DNS01Solver = &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
			DNSProvider: hook{m.cfg.DNSHook}, Resolvers: m.cfg.Resolvers, Logger: m.log,
		}}
	}
	return issuer
}

// prepare does what is needed before an order: it asks the authority what it offers, which finds
// most of what can be wrong with it, and settles how it may check the name.
func (m *Manager) prepare(ctx context.Context, issuer *certmagic.ACMEIssuer, choose func(*certmagic.ACMEIssuer) error) error {
	dir, err := m.directory(ctx)
	if err != nil {
		return err
	}
	if dir.Meta != nil {
		if dir.Meta.ExternalAccountRequired {
			return m.cfg.explainProblem("", acme.Problem{Type: acme.ProblemTypeExternalAccountRequired, Detail: "externalAccountRequired"}, time.Time{})
		}
		if err := m.checkProfile(dir.Meta.Profiles); err != nil {
			return err
		}
	}
	if m.cfg.DNSHook != "" {
		return nil
	}
	return choose(issuer)
}

func (m *Manager) checkProfile(offered map[string]string) error {
	if _, ok := offered[m.cfg.Profile]; ok || m.cfg.Profile == "" {
		return nil
	}
	if len(offered) == 0 {
		return &Problem{Kind: BadSetting, What: "the authority has no profiles", Fix: "leave out --acme-profile"}
	}
	var names []string
	for name := range offered {
		names = append(names, oneLine(name))
	}
	slices.Sort(names)
	return &Problem{Kind: BadSetting, What: fmt.Sprintf("the authority has no profile %q", m.cfg.Profile), Fix: "--acme-profile is one of " + strings.Join(names, ", ")}
}

const (
	// authorityTime is how long the authority may take to say what it offers.
	authorityTime = 30 * time.Second
	// largestDirectory is more than any directory has.
	largestDirectory = 1 << 20
)

// directory asks the authority for its directory (RFC 8555 §7.1.1), each time: the ACME client
// remembers one for hours, and would not notice that it is gone.
func (m *Manager) directory(ctx context.Context) (dir acme.Directory, err error) {
	data, err := m.fetchDirectory(ctx)
	if err == nil {
		err = json.Unmarshal(data, &dir)
	}
	if err == nil && (dir.NewNonce == "" || dir.NewOrder == "" || dir.NewAccount == "") {
		err = errors.New("it lacks what RFC 8555 asks for")
	}
	if err == nil {
		return dir, nil
	}
	if ctx.Err() != nil {
		return dir, ctx.Err()
	}
	if p := m.cfg.explainLine(err); p != nil {
		return dir, p
	}
	return dir, &Problem{Kind: NoAuthority, Err: errors.New(oneLine(err.Error())), What: "there is no ACME directory at " + m.cfg.Directory, Fix: "check the address of the authority: --acme-ca"}
}

func (m *Manager) fetchDirectory(ctx context.Context) ([]byte, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if m.cfg.Roots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: m.cfg.Roots}
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.cfg.Directory, nil)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport, Timeout: authorityTime}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, largestDirectory))
}

// registering tells that an account is made.
func (m *Manager) registering(ctx context.Context) {
	e := Event{Kind: Registering, Account: m.cfg.Email}
	if dir, err := m.directory(ctx); err == nil && dir.Meta != nil {
		e.Terms = oneLine(dir.Meta.TermsOfService)
	}
	m.tell(e)
}

// serverChallenges is for a server with this TLS port.
func (m *Manager) serverChallenges(port int) func(*certmagic.ACMEIssuer) error {
	return func(issuer *certmagic.ACMEIssuer) error {
		issuer.AltTLSALPNPort = port
		issuer.DisableTLSALPNChallenge = m.cfg.Challenge == HTTP01 || m.cfg.Challenge == "" && port != tlsChallengePort
		issuer.DisableHTTPChallenge = m.cfg.Challenge == TLSALPN01
		if issuer.DisableHTTPChallenge {
			return nil
		}
		if port == m.cfg.HTTPPort {
			return &Problem{Kind: PortTaken, What: fmt.Sprintf("port %d is the server's own, for HTTPS", port), Fix: "forward port 80 to another one, and name that: --http-challenge-port"}
		}
		err := m.tryPort(m.cfg.HTTPPort, httpChallengePort)
		if err != nil && !issuer.DisableTLSALPNChallenge {
			issuer.DisableHTTPChallenge, err = true, nil
		}
		return err
	}
}

// ownChallenges is for when no server runs: a port is opened for either.
func (m *Manager) ownChallenges(issuer *certmagic.ACMEIssuer) error {
	issuer.AltTLSALPNPort = m.cfg.TLSPort
	issuer.DisableHTTPChallenge = m.cfg.Challenge == TLSALPN01
	issuer.DisableTLSALPNChallenge = !issuer.DisableHTTPChallenge
	if issuer.DisableHTTPChallenge {
		return m.tryPort(m.cfg.TLSPort, tlsChallengePort)
	}
	err := m.tryPort(m.cfg.HTTPPort, httpChallengePort)
	if err != nil && m.cfg.Challenge == "" && m.tryPort(m.cfg.TLSPort, tlsChallengePort) == nil {
		issuer.DisableHTTPChallenge, issuer.DisableTLSALPNChallenge, err = true, false, nil
	}
	return err
}
