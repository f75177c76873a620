package acmecert

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
)

// fault is what a file of the folder says of the last try for a name, if it failed.
type fault struct {
	Name      string    `json:"name"`
	Authority string    `json:"authority"`
	Kind      Kind      `json:"kind"`
	What      string    `json:"what"`
	Fix       string    `json:"fix"`
	Until     time.Time `json:"until,omitzero"`
	FailedAt  time.Time `json:"failedAt"`
	Next      time.Time `json:"next,omitzero"`
}

func (m *Manager) faultFile(name string) string { return m.besides("faults", name) }

// writeFault is for ReadStates of another process. If it cannot be written, that is what the
// next look says.
func (m *Manager) writeFault(s State) {
	data, err := json.Marshal(fault{s.Name, s.Authority, s.Problem.Kind, s.Problem.Error(), s.Problem.Fix, s.Problem.Until, s.FailedAt, s.Next})
	if err == nil {
		err = writeFile(m.faultFile(s.Name), data, 0o600)
	}
	if err != nil {
		m.cfg.Log.Debug("writing down why there is no certificate", "name", s.Name, "error", err)
	}
}

func (m *Manager) forgetFault(name string) { _ = os.Remove(m.faultFile(name)) }

func (f fault) addTo(s *State) {
	s.Problem = &Problem{Kind: f.Kind, What: oneLine(f.What), Fix: oneLine(f.Fix), Until: f.Until}
	s.FailedAt, s.Next = f.FailedAt, f.Next
}

// files are those of the certificate for a name.
func (m *Manager) files(name string) (certFile, keyFile string) {
	key := m.cfg.issuerKey()
	return m.storage.Filename(certmagic.StorageKeys.SiteCert(key, name)), m.storage.Filename(certmagic.StorageKeys.SitePrivateKey(key, name))
}

// stateOf describes a certificate that is in use.
func (m *Manager) stateOf(name string, leaf *x509.Certificate) State {
	s := State{Name: name, Authority: m.cfg.host()}
	s.CertFile, s.KeyFile = m.files(name)
	s.describe(leaf)
	return s
}

func (s *State) describe(leaf *x509.Certificate) {
	s.NotBefore, s.NotAfter = leaf.NotBefore, leaf.NotAfter
	s.Issuer = oneLine(cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String()))
}

// limitFrom is the rate limit that this name ran into before, while it lasts.
func (m *Manager) limitFrom(name string, now time.Time) *Problem {
	data, err := os.ReadFile(m.faultFile(name))
	if err != nil {
		return nil
	}
	var f fault
	if json.Unmarshal(data, &f) != nil || f.Kind != RateLimited || !f.Until.After(now) || !f.FailedAt.Before(f.Until) {
		return nil
	}
	var s State
	f.addTo(&s)
	if last := f.FailedAt.Add(longestLimit); s.Problem.Until.After(last) {
		s.Problem.Until = last
	}
	if !s.Problem.Until.After(now) {
		return nil
	}
	return s.Problem
}

// ReadStates tells of every certificate in the folder, sorted by name. A folder that is not
// there has none. No key is read.
func ReadStates(folder string) ([]State, error) {
	faults, err := readFaults(folder)
	if err != nil {
		return nil, err
	}
	sites, err := filepath.Glob(filepath.Join(escapeGlob(folder), "certificates", "*", "*", "*.crt"))
	if err != nil {
		return nil, fmt.Errorf("looking for certificates: %w", err)
	}
	var states []State
	for _, certFile := range sites {
		s, err := readSite(certFile)
		if err != nil {
			continue // it is moved aside when the name is next looked after
		}
		for i, f := range faults {
			if f.Name == s.Name && f.Authority == s.Authority {
				f.addTo(&s)
				faults = slices.Delete(faults, i, i+1)
				break
			}
		}
		states = append(states, s)
	}
	for _, f := range faults {
		if f.isStale(time.Now()) {
			continue
		}
		s := State{Name: oneLine(f.Name), Authority: oneLine(f.Authority)}
		f.addTo(&s)
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b State) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Authority, b.Authority))
	})
	return states, nil
}

// escapeGlob has a folder's name mean itself.
func escapeGlob(folder string) string {
	var escaped []rune
	for _, r := range folder {
		if slices.Contains([]rune("*?["), r) && filepath.Separator != '\\' {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}

// staleFault is how long after it was to be tried again a fault is told of a name without any
// certificate: the name was a slip, or nobody wants it any more.
const staleFault = 24 * time.Hour

func readFaults(folder string) ([]fault, error) {
	files, err := filepath.Glob(filepath.Join(escapeGlob(folder), "faults", "*", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("looking for faults: %w", err)
	}
	var faults []fault
	for _, path := range files {
		data, err := os.ReadFile(path)
		var f fault
		if err == nil && json.Unmarshal(data, &f) == nil && f.Name != "" {
			faults = append(faults, f)
		}
	}
	return faults, nil
}

// isStale tells whether a fault is of no interest any more.
func (f fault) isStale(now time.Time) bool {
	return now.Sub(f.FailedAt) > staleFault && now.Sub(f.Next) > staleFault
}

// readSite describes a certificate by its files.
func readSite(certFile string) (State, error) {
	leaf, err := readLeaf(certFile)
	if err != nil {
		return State{}, err
	}
	base := certFile[:len(certFile)-len(".crt")]
	about, err := os.ReadFile(base + ".json")
	if err != nil {
		return State{}, fmt.Errorf("reading about a certificate: %w", err)
	}
	var meta struct {
		SANs   []string `json:"sans"`
		Issuer struct {
			CA string `json:"ca"`
		} `json:"issuer_data"`
	}
	if err := json.Unmarshal(about, &meta); err != nil {
		return State{}, fmt.Errorf("reading about a certificate: %w", err)
	}
	if len(meta.SANs) == 0 {
		return State{}, errors.New("reading about a certificate: it has no name")
	}
	s := State{Name: oneLine(meta.SANs[0]), CertFile: certFile, KeyFile: base + ".key"}
	if u, err := url.Parse(meta.Issuer.CA); err == nil {
		s.Authority = u.Host
	}
	s.describe(leaf)
	return s, nil
}

func readLeaf(certFile string) (*x509.Certificate, error) {
	data, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("reading a certificate: it is not PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	return leaf, nil
}
