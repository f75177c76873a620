package acmecert

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// longestLook is how often certificates of an ordinary life are looked after.
const longestLook = 10 * time.Minute

// look reads the certificate for a name, gets one if there is none and renews it when that is
// due. choose says how the authority may check the name, just before an order.
func (m *Manager) look(ctx context.Context, c *managed, choose chooser) *Problem {
	if err := m.storage.probe(); err != nil {
		return folderProblem(err)
	}
	issuerKey := m.challenges.Issuers[0].IssuerKey()
	moved, err := m.storage.mend(ctx, issuerKey, c.name)
	if err != nil {
		return folderProblem(err)
	}
	for _, aside := range moved {
		m.cfg.Log.Warn("a file of a certificate or account could not be read: its folder was moved aside", "to", aside)
	}
	t := &try{m: m, c: c, was: c.now(), choose: choose, hadAccount: m.storage.hasAccount(issuerKey), asked: &asked{}}
	if err = t.manage(ctx); err != nil {
		err = t.again(ctx, err)
	}
	if t.hasPort {
		m.port.Unlock()
	}
	if t.leaf == nil && err == nil {
		err = errors.New("certmagic keeps no certificate")
	}
	problem := m.cfg.by(t.by).explain(c.name, err, t.asked.latest())
	if t.leaf == nil {
		return problem
	}
	c.serving.Store(t.conf) // a certificate whose renewal failed is there all the same
	if problem == nil {
		problem = m.copyOut(c.name)
	}
	m.have(c, t.leaf, t.outcome(), problem == nil)
	return problem
}

// try is one try to have a good certificate for a name.
type try struct {
	m          *Manager
	c          *managed
	was        State
	choose     chooser
	hadAccount bool
	asked      *asked

	ordering, ordered, renewal bool
	hasPort                    bool
	by                         Challenge // that the authority checks, or checked
	accounts                   int       // that were made
	conf                       *certmagic.Config
	leaf                       *x509.Certificate // of what conf serves; nil if it does not
}

// manage has certmagic do all of it, and looks at what there is then.
func (t *try) manage(ctx context.Context) error {
	issuer := t.m.newIssuer()
	conf, cache := t.m.newConfig(issuer, func(ctx context.Context, event string, data map[string]any) error {
		switch event {
		case "cert_obtaining":
			t.renewal, _ = data["renewal"].(bool)
			return t.prepare(ctx, issuer)
		case "cert_obtained":
			t.ordered = true
		}
		return nil
	}, lookInterval(t.was.NotAfter.Sub(t.was.NotBefore)), t.asked)
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
	if err := t.m.checkAuthority(ctx); err != nil {
		return err
	}
	if t.by = DNS01; t.m.cfg.DNSHook != "" {
		return nil
	}
	by, err := t.choose(ctx)
	t.by = by
	issuer.DisableHTTPChallenge, issuer.DisableTLSALPNChallenge = by != HTTP01, by != TLSALPN01
	return err
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
	mended := good && before.Problem != nil
	if told != leaf.SerialNumber.String() && leaf.NotAfter.After(time.Now()) || mended {
		m.tell(Event{Kind: kind, Name: c.name, Issuer: state.Issuer, NotAfter: state.NotAfter, CertFile: state.CertFile, KeyFile: state.KeyFile})
	}
}

// newConfig returns a configuration of certmagic's with a cache of its own: what is served is
// replaced by putting a new one in its place. The cache's own maintenance is stopped at once, as
// [Manager.keep] does that: with the pauses, the events and the end that we want.
func (m *Manager) newConfig(issuer *certmagic.ACMEIssuer, onEvent func(context.Context, string, map[string]any) error, every time.Duration, hears *asked) (*certmagic.Config, *certmagic.Cache) {
	log := zap.New(&core{log: m.cfg.Log, asked: hears})
	issuer.Logger = log
	if solver, ok := issuer.DNS01Solver.(*dnsSolver); ok {
		solver.Logger = log
	}
	var conf *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return conf, nil },
		RenewCheckInterval: every, // what it takes for the time until the next look
		Logger:             log,
	})
	cache.Stop()
	conf = certmagic.New(cache, certmagic.Config{
		Storage: m.storage, Logger: log, OnEvent: onEvent,
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
func (m *Manager) newIssuer() *certmagic.ACMEIssuer {
	issuer := &certmagic.ACMEIssuer{
		CA: m.cfg.Directory, Email: m.cfg.Email, Agreed: true, Profile: m.cfg.Profile,
		TrustedRoots: m.cfg.Roots, ListenHost: m.cfg.ListenHost,
		AltHTTPPort: m.cfg.HTTPPort, AltTLSALPNPort: m.cfg.TLSPort,
	}
	if m.cfg.DNSHook != "" {
		issuer.DNS01Solver = newDNSSolver(&m.cfg, m.tell)
	}
	return issuer
}
