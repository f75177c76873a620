package acmecert

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// A Manager looks after the certificates of one [Config]. Its methods may be called from
// several goroutines; Run and Obtain once.
type Manager struct {
	cfg     Config
	storage *storage
	certs   []*managed
	// challenges answers TLS-ALPN-01, for every name and every process that shares the folder.
	challenges *certmagic.Config

	telling sync.Mutex // calls of Config.OnEvent come one at a time
	port    sync.Mutex // is open for one order at a time, or the next one finds it taken
	pause   func(failures int, p *Problem, now time.Time) time.Duration
}

// managed is one name, and what there is for it.
type managed struct {
	name string
	// serving has the certificate in its cache; nil until there is one.
	serving atomic.Pointer[certmagic.Config]

	mu    sync.Mutex
	state State
	told  string // the serial number of the certificate that was told of
}

// New checks the configuration, and that the folder can be used. Nothing is sent. The error
// is a [*Problem].
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	store, err := openStorage(cfg.Folder)
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, storage: store, pause: pause}
	m.challenges, _ = m.newConfig(m.newIssuer(), nil, longestLook, &asked{})
	if err := m.keepCopies(); err != nil {
		return nil, err
	}
	for _, name := range cfg.Names {
		c := &managed{name: name, state: State{Name: name, Authority: cfg.host()}}
		m.load(c)
		m.certs = append(m.certs, c)
	}
	return m, nil
}

// load has a certificate served that the folder has from before, without asking anybody.
func (m *Manager) load(c *managed) {
	issuer := m.newIssuer()
	conf, cache := m.newConfig(issuer, nil, longestLook, &asked{})
	if !m.storage.siteIsSound(issuer.IssuerKey(), c.name) {
		return // the first look moves it aside
	}
	if _, err := conf.CacheManagedCertificate(context.Background(), c.name); err != nil {
		return // nor is there one
	}
	if leaf := newest(cache.AllMatchingCertificates(c.name)); leaf != nil {
		c.serving.Store(conf)
		c.mu.Lock()
		defer c.mu.Unlock()
		was := c.state
		c.state = m.stateOf(c.name, leaf)
		c.state.Problem, c.state.FailedAt, c.state.Next = was.Problem, was.FailedAt, was.Next
	}
}

// Names returns the names in the form that certificates and handshakes have them.
func (m *Manager) Names() []string { return m.cfg.Names }

// States tells how things are for each name, in order.
func (m *Manager) States() []State {
	states := make([]State, len(m.certs))
	for i, c := range m.certs {
		states[i] = c.now()
	}
	return states
}

func (c *managed) now() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Run gets and renews certificates until ctx ends, for a server at this TCP port that uses
// [Manager.TLS]. What fails is told as an event and tried again.
func (m *Manager) Run(ctx context.Context, port int) {
	m.cfg.TLSPort = port // where the server answers
	var looking sync.WaitGroup
	defer looking.Wait()
	for _, c := range m.certs {
		looking.Go(func() { m.keep(ctx, c, port) })
	}
}

// keep looks after one name until ctx ends.
func (m *Manager) keep(ctx context.Context, c *managed, port int) {
	m.sitOut(ctx, c)
	for failures := 0; ctx.Err() == nil; {
		next := time.Now()
		problem := m.look(ctx, c, m.serverChooser(port, failures))
		if problem != nil {
			if problem.Kind == Interrupted && ctx.Err() != nil {
				return
			}
			next = next.Add(m.pause(failures, problem, next))
			m.failed(c, problem, next)
			failures++
		} else {
			next = next.Add(c.lookInterval())
			failures = 0
		}
		wait(ctx, time.Until(next))
	}
}

// sitOut waits for the end of a rate limit that the name ran into before: a restart does not end
// it. Meanwhile another process may get the certificate.
func (m *Manager) sitOut(ctx context.Context, c *managed) {
	for limit := m.limitFrom(c.name, time.Now()); limit != nil && ctx.Err() == nil; limit = m.limitFrom(c.name, time.Now()) {
		if state := c.now(); state.Problem == nil {
			m.failed(c, limit, limit.Until)
		}
		wait(ctx, min(time.Until(limit.Until), c.lookInterval()))
		m.load(c)
	}
}

// lookInterval is how long it is until the certificate is to be looked after again.
func (c *managed) lookInterval() time.Duration {
	state := c.now()
	return lookInterval(state.NotAfter.Sub(state.NotBefore))
}

// wait returns after this time, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// The pauses after a failure. Let's Encrypt allows five failed checks of a name in an hour, and some
// hundred in a row before it stops for good (https://letsencrypt.org/docs/rate-limits/). Other
// causes cost nobody anything.
const (
	firstPause   = 2 * time.Second // after what did not reach the authority
	longestPause = 10 * time.Minute
	limitedPause = time.Hour // after a rate limit without a time
	longestLimit = 7 * 24 * time.Hour
	checkedPause = time.Minute // after a check that failed
	longestCheck = time.Hour
	checkedDay   = 24 // failures are a day's, about
	dailyCheck   = 6 * time.Hour
)

// pause is how long to wait after so many failures and then this one.
func pause(failures int, p *Problem, now time.Time) time.Duration {
	until := min(longestLimit, p.Until.Sub(now)+time.Second) // not positive when there is no such time
	switch p.Kind {
	case RateLimited:
		if p.Until.IsZero() {
			return limitedPause
		}
		return max(checkedPause, until)
	case NoAuthority, NotTrusted, PortTaken, BadFolder, Interrupted:
		return max(until, min(longestPause, firstPause<<min(failures, 10)))
	}
	if failures > checkedDay {
		return dailyCheck
	}
	wait := checkedPause
	for range min(failures, 5) {
		wait *= 4
	}
	return min(longestCheck, wait)
}

// Obtain gets the certificates that are missing and renews those that are due, and returns.
// The error joins a [*Problem] for each name that there is no good certificate for.
func (m *Manager) Obtain(ctx context.Context) error {
	var errs []error
	for _, c := range m.certs {
		problem := m.limitFrom(c.name, time.Now())
		if problem == nil {
			problem = m.look(ctx, c, m.ownChooser)
		}
		if problem != nil {
			m.failed(c, problem, time.Time{})
			errs = append(errs, problem)
		}
	}
	return errors.Join(errs...)
}

// tell calls OnEvent.
func (m *Manager) tell(e Event) {
	m.telling.Lock()
	defer m.telling.Unlock()
	m.cfg.OnEvent(e)
}

// failed notes why there is no certificate, or no new one.
func (m *Manager) failed(c *managed, p *Problem, next time.Time) {
	c.mu.Lock()
	c.state.Problem, c.state.FailedAt, c.state.Next = p, time.Now(), next
	state := c.state
	c.mu.Unlock()
	if p.Kind != Interrupted {
		m.writeFault(state)
	}
	m.tell(Event{Kind: Failed, Name: c.name, NotAfter: state.NotAfter, Problem: p, Next: next})
}
