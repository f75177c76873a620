package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// nssStores returns the databases that Chromium, Chrome and their relatives may
// read: those of the account, and those of each that is installed as a snap or a
// flatpak and was started at least once, which is when its folder is made.
func (m Machine) nssStores() []Store {
	if m.OS != "linux" {
		return nil
	}
	old, current := m.nssPair(filepath.Join(m.Home, ".pki"), m.DataHome)
	stores := []Store{old, current}
	for _, s := range slices.Concat(m.snapDatabases(), m.flatpakDatabases(old.unused == "")) {
		if s.unused == "" {
			stores = append(stores, s)
		}
	}
	return stores
}

// nssPair returns the two databases that one Chromium may read: nssdb in the
// folder .pki of its home, and pki/nssdb in its data home.
//
// Chromium 146 and later reads the second when ~/.pki/nssdb is absent, and
// ignores it when both folders exist, even when ~/.pki/nssdb is empty; earlier
// versions and other programs read ~/.pki/nssdb only. Seen with Chromium 156: a
// database in ~/.pki/nssdb alone is read, and one under the data home alone is
// read. So when there is neither, ~/.pki/nssdb is the one to create: every
// version reads it. When only the other exists, ~/.pki/nssdb must not be created:
// Chromium would turn away from what the person keeps there.
func (m Machine) nssPair(pki, dataHome string) (old, current nssStore) {
	old = nssStore{m: m, kind: KindNSS, dir: filepath.Join(pki, "nssdb")}
	current = nssStore{m: m, kind: KindNSS, dir: filepath.Join(dataHome, "pki", "nssdb")}
	const unused = "there is no such database, and Chromium on this account reads another one"
	if mayBeDir(old.dir) || !mayBeDir(current.dir) {
		old.browser = BrowserChromium
		if !mayBeDir(current.dir) {
			current.unused = unused
		}
	} else {
		current.browser, old.unused = BrowserChromium, unused
	}
	return old, current
}

// snapDatabases returns those of Chromium as a snap, whose home is the folder of
// its present revision (https://snapcraft.io/docs/environment-variables,
// SNAP_USER_DATA). snapd copies that folder for the next revision.
func (m Machine) snapDatabases() []nssStore {
	home := filepath.Join(m.Home, "snap", "chromium", "current")
	if !isDir(home) {
		return nil
	}
	old, current := m.nssPair(filepath.Join(home, ".pki"), filepath.Join(home, ".local", "share"))
	return []nssStore{old, current}
}

// flatpakBrowser is a relative of Chromium on Flathub.
type flatpakBrowser struct {
	id   string
	home bool // its manifest shares the account's home with it, unless it keeps a .pki of its own
}

func flatpakBrowsers() []flatpakBrowser {
	return []flatpakBrowser{
		{"org.chromium.Chromium", true}, {"io.github.ungoogled_software.ungoogled_chromium", true},
		{"com.google.Chrome", false}, {"com.google.ChromeDev", false}, {"com.brave.Browser", false},
		{"com.microsoft.Edge", false}, {"com.microsoft.EdgeDev", false}, {"com.vivaldi.Vivaldi", false}, {"com.opera.Opera", false},
	}
}

// flatpakDatabases returns those of the flatpaks. A flatpak's data home is
// ~/.var/app/ID/data. Its ~/.pki is, by what its manifest on Flathub says,
//   - ~/.var/app/ID/.pki, with --persist=.pki (Brave, Edge, Vivaldi): Flatpak
//     makes that folder when the flatpak starts, and so it is there;
//   - the account's own, with --filesystem=home (Chromium): then nothing is left
//     to do when the account has or gets that (nativeOld);
//   - else empty at each start (Chrome), and only the data home is kept.
func (m Machine) flatpakDatabases(nativeOld bool) []nssStore {
	var stores []nssStore
	for _, app := range flatpakBrowsers() {
		home := filepath.Join(m.Home, ".var", "app", app.id)
		data := filepath.Join(home, "data")
		switch pki := filepath.Join(home, ".pki"); {
		case isDir(pki):
			old, current := m.nssPair(pki, data)
			stores = append(stores, old, current)
		case isDir(home) && !(app.home && nativeOld):
			stores = append(stores, nssStore{m: m, kind: KindNSS, dir: filepath.Join(data, "pki", "nssdb"), browser: BrowserChromium})
		}
	}
	return stores
}

// nssAt is a database that the journal knows.
func (m Machine) nssAt(dir string) Store { return nssStore{m: m, kind: KindNSS, dir: dir} }

// tilde writes a path in the account's home with ~, as people do.
func (m Machine) tilde(path string) string {
	if rel, err := filepath.Rel(m.Home, path); err == nil && filepath.IsLocal(rel) {
		return "~/" + filepath.ToSlash(rel)
	}
	return path
}

// mayBeDir is isDir where it can be told. A folder in one that may not be looked
// into is not passed over, but read, with the error that comes of it.
func mayBeDir(path string) bool {
	_, err := os.Stat(path)
	return isDir(path) || errors.Is(err, fs.ErrPermission)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
