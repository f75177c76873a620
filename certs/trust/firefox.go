package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// firefoxStore is the NSS database of one profile of Firefox. Firefox takes one
// that certutil made for its own. Where Firefox never ran there is no profile, and
// Install makes one that Firefox takes at its first start.
type firefoxStore struct {
	nssStore
	first    *firstProfile // it is not there, or half-made, and Install makes it; nil for all others
	outdated bool          // its certificates are in the form before Firefox 58, cert8.db
}

// firefoxStores returns every profile of every Firefox of this account.
func (m Machine) firefoxStores() []Store {
	var stores []Store
	for _, app := range m.firefoxes() {
		there := false
		for _, base := range app.folders {
			for _, dir := range profilesIn(base) {
				if app.first != nil && dir == app.first.dir() && !exists(filepath.Join(base, profilesFile)) {
					continue // half-made by Install
				}
				there = there || base == app.folder
				if s := m.profile(dir); !slices.ContainsFunc(stores, func(other Store) bool { return other.Path() == dir }) {
					stores = append(stores, s)
				}
			}
		}
		if app.first != nil && !there {
			s := m.profile(app.first.dir())
			s.first = app.first
			stores = append(stores, s)
		}
	}
	if len(stores) == 0 && slices.Contains(m.asked, KindFirefox) {
		stores = append(stores, noStore{m, KindFirefox, fault("leave firefox out of --stores, or install Firefox",
			"looking for Firefox and its profiles: %w", ErrToolMissing)})
	}
	return stores
}

// firefoxAt is a profile that the journal knows.
func (m Machine) firefoxAt(dir string) Store {
	s := m.profile(dir)
	s.browser = "" // Firefox does not list it any more
	return s
}

func (m Machine) profile(dir string) firefoxStore {
	s := firefoxStore{nssStore: nssStore{m: m, kind: KindFirefox, dir: dir, browser: BrowserFirefox}}
	s.outdated = exists(filepath.Join(dir, "cert8.db")) && !exists(filepath.Join(dir, "cert9.db"))
	if m.OS != "linux" && m.nssCertutil() == "" {
		// The database needs a tool that is seldom there; Firefox 120 and later does without.
		s.unused, s.browser = "Firefox 120 and later trusts here what the system trusts", ""
	}
	return s
}

// fault is why the profile cannot be used, or nil.
func (s firefoxStore) fault() error {
	switch {
	case s.first != nil && s.first.fault != nil:
		return s.first.fault
	case s.outdated && s.unused == "":
		return fault("start Firefox once, which brings the profile up to date, close it, and try again",
			"reading %s: %w: its certificates are in the old form, cert8.db", s.dir, ErrUnsupported)
	}
	return nil
}

func (s firefoxStore) Status(ctx context.Context, root *x509.Certificate) Status {
	if err := s.fault(); err != nil {
		return unreadable(Status{Path: s.dir, Browser: s.browser}, err)
	}
	st := s.nssStore.Status(ctx, root)
	if s.first != nil && !s.first.announced() && (st.State == StateTrusted || st.State == StateAbsent) {
		st.State, st.Reason = StateAbsent, "Firefox has no profile yet; one will be made, which it takes at its first start"
	}
	return st
}

func (s firefoxStore) Install(ctx context.Context, root *x509.Certificate) error {
	if err := s.fault(); err != nil {
		return err
	}
	if err := s.nssStore.Install(ctx, root); err != nil || s.first == nil || s.first.announced() {
		return err
	}
	unlock, err := s.m.lockDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.first.announce(); err != nil {
		return fault(s.m.listing(s.first.base), "making the first profile of Firefox: %w", err)
	}
	return nil
}

func (s firefoxStore) missing() string {
	if s.first != nil && !s.first.announced() {
		if top := firstMissing(s.dir); top != "" {
			return top
		}
		return filepath.Join(s.dir, "cert9.db")
	}
	return s.nssStore.missing()
}

// unmake takes back the database, and the profile if that was made, too. It does
// nothing once Firefox has run with the profile: then it is the person's.
func (s firefoxStore) unmake(ctx context.Context, top string) error {
	if err := s.m.guardedFolder(s.dir); err != nil {
		return err
	}
	unlock, err := s.m.lockDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	ours := filepath.Base(s.dir) == firstProfileName && within(top, s.dir)
	if !ours {
		if exists(filepath.Join(s.dir, compatibilityFile)) || exists(filepath.Join(s.dir, "prefs.js")) {
			return nil
		}
		return s.discard(ctx, top)
	}
	return s.discardFirst(ctx, top)
}

// discardFirst is unmake for a profile that Install made. It needs the lock.
func (s firefoxStore) discardFirst(ctx context.Context, top string) error {
	base := filepath.Dir(s.dir)
	sweepProfile(base)
	listed, untouched := firstProfileUntouched(base)
	if !untouched {
		return nil
	}
	if empty, err := s.empty(ctx); err != nil || !empty {
		return err
	}
	// The list goes first, so that Firefox never looks for a profile that is gone.
	var files []string
	if listed {
		files = append(files, filepath.Join(base, profilesFile))
	}
	for _, file := range append(files, filepath.Join(s.dir, compatibilityFile)) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the profile that was made for the root: %w", err)
		}
	}
	if err := s.discard(ctx, top); err != nil {
		return err
	}
	removeEmptied(base, top)
	return nil
}

// firstProfileName is the folder of a profile that Install makes. Firefox itself
// begins the names of its folders with eight random letters and digits.
const firstProfileName = "rtcdev.default"

// compatibilityFile is where Firefox notes, in a profile, which installation used
// it last.
const compatibilityFile = "compatibility.ini"

// firstProfile is a profile to make where Firefox never ran.
//
// Since Firefox 67, each installation has a default profile of its own, and for
// one that has none Firefox makes a new profile at its first start, unless the
// general default (Default=1 in profiles.ini) was last used by that installation:
// then Firefox takes that one and writes so into installs.ini. Which one used it is
// in the profile's compatibility.ini (https://support.mozilla.org/kb/understanding-depth-profile-installation).
// As a snap, Firefox has the general default only. Seen with Firefox 153.
type firstProfile struct {
	base     string // the folder of profiles.ini
	platform string // the folder of the installation, empty for a snap
	fault    error  // why it cannot be made
}

func (p firstProfile) dir() string { return filepath.Join(p.base, firstProfileName) }

// profilesText is the profiles.ini with this one profile.
func profilesText() []byte {
	return []byte("[Profile0]\nName=default\nIsRelative=1\nPath=" + firstProfileName + "\nDefault=1\n\n" +
		"[General]\nStartWithLastProfile=1\nVersion=2\n")
}

// The parts of compatibility.ini before and after the installation's folder. The
// version is older than every Firefox, which then updates the profile as after any
// update; for one of the future it would refuse to start.
const (
	compatibilityHead = "[Compatibility]\nLastVersion=1.0_1/1\nLastPlatformDir="
	compatibilityTail = "\n"
)

// announced reports whether the profile is complete.
func (p firstProfile) announced() bool {
	list, err := readSmall(filepath.Join(p.base, profilesFile), maxProfilesFile)
	return err == nil && slices.Contains(parseProfiles(p.base, list), p.dir())
}

// announce lets Firefox find the profile, as the last step: profiles.ini is never
// there without a complete profile. It needs the lock.
func (p firstProfile) announce() error {
	sweepProfile(p.base)
	if p.platform != "" {
		text := []byte(compatibilityHead + p.platform + compatibilityTail)
		if err := replaceFile(filepath.Join(p.dir(), compatibilityFile), text, 0o600); err != nil {
			return err
		}
	}
	return createFile(filepath.Join(p.base, profilesFile), profilesText(), 0o644) // not if Firefox has been started meanwhile
}

// sweepProfile deletes what an announce that was killed left half-written.
func sweepProfile(base string) {
	sweep(base)
	sweep(filepath.Join(base, firstProfileName))
}

// firstProfileUntouched reports whether the profile that Install made in base
// holds nothing that it did not make, and whether profiles.ini lists it and
// nothing else. A profile that profiles.ini lists among others is touched.
func firstProfileUntouched(base string) (listed, untouched bool) {
	dir := filepath.Join(base, firstProfileName)
	entries, _ := os.ReadDir(dir) // one that is not there holds nothing
	for _, e := range entries {
		if e.Name() != compatibilityFile && !slices.Contains(nssFiles(), e.Name()) {
			return false, false
		}
	}
	was, err := readSmall(filepath.Join(dir, compatibilityFile), maxProfilesFile)
	if err == nil && !bytes.HasPrefix(was, []byte(compatibilityHead)) {
		return false, false
	}
	list, err := readSmall(filepath.Join(base, profilesFile), maxProfilesFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, true
	case err != nil:
		return false, false
	case bytes.Equal(list, profilesText()):
		return true, true
	}
	return false, !slices.Contains(parseProfiles(base, list), dir)
}
