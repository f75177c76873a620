package acmecert

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// checkAuthority asks the authority what it offers, which finds most of what can be wrong with
// it before an order is placed.
func (m *Manager) checkAuthority(ctx context.Context) error {
	dir, err := m.directory(ctx)
	if err != nil {
		return err
	}
	if dir.Meta == nil {
		return nil
	}
	if dir.Meta.ExternalAccountRequired {
		return m.cfg.explainProblem("", acme.Problem{Type: acme.ProblemTypeExternalAccountRequired, Detail: "externalAccountRequired"}, time.Time{})
	}
	return m.checkProfile(dir.Meta.Profiles)
}

func (m *Manager) checkProfile(offered map[string]string) error {
	if _, ok := offered[m.cfg.Profile]; ok || m.cfg.Profile == "" {
		return nil
	}
	if len(offered) == 0 {
		return &Problem{Kind: BadSetting, What: "the authority has no profiles", Fix: "leave out --acme-profile"}
	}
	const enough = 20 // to choose from
	names := slices.Sorted(maps.Keys(offered))
	if len(names) > enough {
		names = append(names[:enough], "…")
	}
	return &Problem{Kind: BadSetting, What: fmt.Sprintf("the authority has no profile %q", m.cfg.Profile), Fix: "--acme-profile is one of " + oneLine(strings.Join(names, ", "))}
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
	var problem *Problem
	if errors.As(err, &problem) {
		return dir, problem
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
	until := retryTime(answer.Header.Get("Retry-After"), time.Now())
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests:
		return nil, m.cfg.limited(until, fmt.Errorf("it answers %s", oneLine(answer.Status)))
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusInternalServerError:
		return nil, &Problem{Kind: NoAuthority, What: "the authority at " + m.cfg.host() + " has a fault of its own", Fix: "wait: a running server tries again", Until: until,
			Err: fmt.Errorf("it answers %s", oneLine(answer.Status))}
	default:
		return nil, fmt.Errorf("it answers %s", oneLine(answer.Status))
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
