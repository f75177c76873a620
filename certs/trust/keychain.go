package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keychainStore is a keychain of macOS together with the trust settings that go
// with it, both changed with security(1). Safari, Chrome and Firefox (from version
// 120 on) follow them, and so do curl and Go.
//
// A root is trusted when both are there: the certificate in the keychain, and a
// trust setting for TLS servers. The settings are read with `security
// trust-settings-export`, which names certificates by their hash and is the same
// in every language. `security verify-cert` was not chosen: it judges a root as if
// it were a website's certificate, which has further conditions since macOS 10.15
// (such as at most 825 days), and its policy "basic" says nothing about TLS.
type keychainStore struct {
	m     Machine
	admin bool // the System keychain and every account's settings; else the login keychain and this account's
}

// keychainStores returns the two keychains. One is enough for the browsers: the
// one of this account, and for root the System keychain. The other one is unused
// unless root is in it.
func (m Machine) keychainStores() []Store {
	return []Store{keychainStore{m, true}, keychainStore{m, false}}
}

func (s keychainStore) Name() string {
	if s.admin {
		return "system keychain"
	}
	return "login keychain"
}

func (keychainStore) Kind() string { return KindSystem }

func (s keychainStore) Path() string {
	if s.admin {
		return filepath.Join(s.m.Root, "/Library/Keychains/System.keychain")
	}
	return filepath.Join(s.m.Home, "Library", "Keychains", "login.keychain-db")
}

// wanted reports whether this is the keychain to install into.
func (s keychainStore) wanted() bool { return s.admin == (s.m.UID == 0) }

// keychainView is what reading a keychain showed.
type keychainView struct {
	held    bool    // the root is in the keychain
	setting verdict // what the settings say of it
	denied  bool    // this account's own settings, which come first, deny it
	stale   int     // other roots of ours
}

func (v keychainView) trusts() bool { return v.held && v.setting == verdictTrusts && !v.denied }
func (v keychainView) entry() bool  { return v.held || v.setting != verdictNone }

func (s keychainStore) Status(ctx context.Context, root *x509.Certificate) Status {
	st := Status{Path: s.Path(), NeedsRoot: s.admin && s.m.UID != 0, Browser: BrowserMac}
	if !exists(s.Path()) {
		return s.missingStatus(st)
	}
	v, err := s.read(ctx, root)
	if st.Stale, st.entry = v.stale, v.entry(); err != nil {
		return unreadable(st, err)
	}
	switch {
	case v.trusts():
		st.State = StateTrusted
		return st
	case !s.wanted():
		return s.unusedStatus(st)
	case !s.admin && !st.entry && (keychainStore{s.m, true}).trusts(ctx, root):
		st.State, st.Reason = StateUnused, "the System keychain trusts the root, for every account"
		return st
	}
	st.State = StateAbsent
	switch {
	case v.setting == verdictDenies:
		st.Reason = "its trust settings say never to trust the root"
	case v.held:
		st.Reason = "the root is in it, but is not trusted for websites"
	case st.entry:
		st.Reason = "it has a trust setting for the root, but not the root"
	default:
		st.Reason = reasonAbsent
	}
	return st
}

// missingStatus is about a keychain whose file does not exist.
func (s keychainStore) missingStatus(st Status) Status {
	if !s.wanted() {
		st.State, st.Reason = StateUnused, "there is no such keychain"
		return st
	}
	st.State, st.Reason, st.Fix = StateUnavailable, "there is no such keychain", "open Keychain Access, which makes it, and try again"
	if !s.admin {
		st.Fix += "; or trust the root for every account: " + s.m.RootCommand + " trust --stores system"
	}
	return st
}

// unusedStatus is about the keychain that is not this user's to install into, and
// does not make her browsers trust the root.
func (s keychainStore) unusedStatus(st Status) Status {
	st.State, st.Browser = StateUnused, ""
	switch {
	case !s.admin && st.entry:
		st.Reason, st.Fix = "the root is in it; only its own account can say whether it trusts it", "run the same command without sudo"
	case !s.admin:
		st.Reason = "root uses the System keychain"
	case st.entry: // for Remove to find; the login keychain can trust the root all the same
		st.State, st.Reason = StateAbsent, "the root is in it, but is not trusted for websites; only root may change it"
		st.Fix = s.m.RootCommand + " untrust --stores system"
	default:
		st.Reason = "this account uses its login keychain; with root, this one serves every account"
		st.Fix = s.m.RootCommand + " trust --stores system"
	}
	return st
}

// trusts is for asking about another keychain in passing.
func (s keychainStore) trusts(ctx context.Context, root *x509.Certificate) bool {
	if !exists(s.Path()) {
		return false
	}
	v, err := s.read(ctx, root)
	return err == nil && v.trusts()
}

func (s keychainStore) read(ctx context.Context, root *x509.Certificate) (keychainView, error) {
	var v keychainView
	held, err := s.certificates(ctx)
	v.held = slices.ContainsFunc(held, func(der []byte) bool { return bytes.Equal(der, root.Raw) })
	v.stale = others(rootsOfOurs(held), root)
	if err != nil && !v.held {
		return v, err
	}
	if !s.admin && s.m.UID == 0 {
		return v, nil // the settings that we would read are root's own
	}
	settings, err := s.settings(ctx, s.admin)
	if err != nil {
		return v, err
	}
	v.setting = settings.verdict(root)
	if s.admin && s.m.UID != 0 {
		own, err := s.settings(ctx, false)
		if err != nil {
			return v, err
		}
		v.denied = own.verdict(root) == verdictDenies
	}
	return v, nil
}

// certificates returns, in DER, every certificate in the keychain. Some may be
// returned together with an error: one damaged item makes security(1) fail.
func (s keychainStore) certificates(ctx context.Context) ([][]byte, error) {
	const itemNotFound = 44 // errSecItemNotFound (-25300) as an exit status
	out, _, err := s.run(ctx, s.m, "find-certificate", "-a", "-p", s.Path())
	if code, ended := exitCode(err); ended && code == itemNotFound {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("reading the keychain: %w", err)
	}
	return pemBlocks([]byte(out)), err
}

// settings returns the trust settings of every account, or of this one.
func (s keychainStore) settings(ctx context.Context, admin bool) (trustSettings, error) {
	dir, err := os.MkdirTemp("", "rtcdev-settings-*")
	if err != nil {
		return nil, fmt.Errorf("reading the trust settings: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "settings.plist")
	args := []string{"trust-settings-export", file}
	if admin {
		args = []string{"trust-settings-export", "-d", file}
	}
	_, said, err := s.run(ctx, s.m, args...)
	// This is how it answers that there are none, in words that depend on the
	// language. None can be shown then, so none is taken to trust.
	if code, ended := exitCode(err); ended && code == 1 && strings.HasPrefix(said, "SecTrustSettingsCreateExternalRepresentation:") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the trust settings: %w", err)
	}
	data, err := readBounded(file, maxTrustSettings)
	if err != nil {
		return nil, fmt.Errorf("reading the trust settings: %w", err)
	}
	return parseTrustSettings(data)
}

func (s keychainStore) Install(ctx context.Context, root *x509.Certificate) error {
	if err := s.mayChange("trust"); err != nil {
		return err
	}
	before, err := s.read(ctx, root)
	if err != nil {
		return err
	}
	file, remove, err := rootFile(root)
	if err != nil {
		return err
	}
	defer remove()
	// For TLS and what it is built on, as others restrict it, too
	// (https://github.com/dotnet/aspnetcore/issues/41878).
	args := append(s.domain("add-trusted-cert"), "-r", "trustRoot", "-p", "ssl", "-p", "basic", "-k", s.Path(), file)
	_, said, err := s.run(ctx, s.m.patient(promptTimeout), args...)
	if err == nil {
		return nil
	}
	if !before.held {
		// security(1) adds the certificate first and asks for the trust second. The
		// first error is the one to report.
		_, _, _ = s.run(context.WithoutCancel(ctx), s.m, "delete-certificate", "-Z", thumbprint(root), s.Path())
	}
	return s.refused("adding the root to the "+s.Name(), said, err)
}

func (s keychainStore) Remove(ctx context.Context, root *x509.Certificate) error {
	if !exists(s.Path()) {
		return nil
	}
	v, err := s.read(ctx, root)
	if err != nil || !v.entry() {
		return err
	}
	if err := s.mayChange("untrust"); err != nil {
		return err
	}
	what := "removing the root from the " + s.Name()
	if v.setting != verdictNone {
		file, remove, err := rootFile(root)
		if err != nil {
			return err
		}
		defer remove()
		if _, said, err := s.run(ctx, s.m.patient(promptTimeout), append(s.domain("remove-trusted-cert"), file)...); err != nil {
			return s.refused(what, said, err)
		}
	}
	if !v.held {
		return nil
	}
	_, said, err := s.run(ctx, s.m.patient(promptTimeout), "delete-certificate", "-Z", thumbprint(root), s.Path())
	if err != nil {
		return s.refused(what, said, err)
	}
	return nil
}

func (s keychainStore) Roots(ctx context.Context) ([]*x509.Certificate, error) {
	if !exists(s.Path()) {
		return nil, nil
	}
	held, err := s.certificates(ctx)
	return rootsOfOurs(held), err
}

// mayChange says who may change this keychain's trust.
func (s keychainStore) mayChange(verb string) error {
	switch {
	case s.admin && s.m.UID != 0:
		return fault(s.m.RootCommand+" "+verb+" --stores system", "changing the System keychain: %w", ErrNeedsRoot)
	case !s.admin && s.m.UID == 0:
		return fault("run the same command without sudo", "changing the login keychain as root: %w", ErrNotOwner)
	}
	return nil
}

// domain is a command of security(1) for this keychain's trust settings.
func (s keychainStore) domain(command string) []string {
	if s.admin {
		return []string{command, "-d"}
	}
	return []string{command}
}

// refused names what security(1) said, which is in the language of the account:
// the sentences below are the English ones.
func (s keychainStore) refused(what, said string, err error) error {
	again := "run the same command again, and give the password in the window that macOS opens"
	switch {
	case errors.Is(err, ErrTimeout):
		return fault(again, "%s: macOS asked for a password in a window: %w", what, err)
	case strings.Contains(said, "canceled by the user"):
		return fault(again, "%s: macOS asked for a password in a window: %w", what, ErrDeclined)
	case strings.Contains(said, "no user interaction was possible"), strings.Contains(said, "interaction is not allowed"),
		strings.Contains(said, "errSecInternalComponent"):
		return fault("run the same command in Terminal on this Mac's own screen; if it was there, unlock the keychain first: security unlock-keychain",
			"%s: macOS must ask for a password in a window, and could not open one: %w", what, err)
	case strings.Contains(said, "authorization was denied"):
		return fault(again, "%s: macOS did not accept the password: %w", what, err)
	}
	return fault(again+", from Terminal on this Mac's own screen", "%s: %w", what, err)
}

// run runs security(1), which lies in a folder that every PATH has.
func (s keychainStore) run(ctx context.Context, m Machine, args ...string) (stdout, stderr string, err error) {
	program, ok := m.program("/usr/bin/security", "security")
	if !ok {
		return "", "", fault("check that /usr/bin/security, a part of macOS, can be run", "looking for security: %w", ErrToolMissing)
	}
	return m.output(ctx, program, args...)
}
