package trust

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
)

// firefox is one way in which Firefox is, or may be, on this machine.
type firefox struct {
	folders []string      // where its profiles may be
	folder  string        // the one of them that it makes its first profile in
	first   *firstProfile // what to make if there is no profile in folder; nil if it is not installed
}

// firefoxes returns where each Firefox keeps its profiles.
//
// On Linux that is ~/.mozilla/firefox if that folder exists. Else it is, for
// Firefox 147 and later, mozilla/firefox in the configuration home, which a
// flatpak has at ~/.var/app/ID/config; a snap keeps to ~/.mozilla in its home.
// Seen with Firefox 153, which does not mind a ~/.mozilla without firefox in it.
func (m Machine) firefoxes() []firefox {
	switch m.OS {
	case "linux":
		return []firefox{m.nativeFirefox(), m.snapFirefox(), m.flatpakFirefox()}
	case "darwin":
		return []firefox{{folders: []string{filepath.Join(m.Home, "Library", "Application Support", "Firefox")}}}
	case "windows":
		return []firefox{{folders: []string{filepath.Join(m.AppData, "Mozilla", "Firefox")}}}
	}
	return nil
}

func (m Machine) nativeFirefox() firefox {
	legacy, current := filepath.Join(m.Home, ".mozilla", "firefox"), filepath.Join(m.ConfigHome, "mozilla", "firefox")
	f := firefox{folders: []string{legacy, current}, folder: current}
	installed, platform := m.firefoxPlatform()
	if isDir(legacy) || platform != "" && firefoxVersion(filepath.Join(platform, applicationFile)) < 147 {
		f.folder = legacy
	}
	if !installed {
		return f
	}
	f.first = &firstProfile{base: f.folder, platform: platform}
	if platform == "" {
		f.first.fault = startFirefox(f.folder)
	}
	return f.orNamed()
}

// orNamed keeps Install from writing a second profiles.ini where one is, without
// a profile that exists.
func (f firefox) orNamed() firefox {
	if f.first.fault == nil && exists(filepath.Join(f.folder, profilesFile)) {
		f.first.fault = startFirefox(f.folder)
	}
	return f
}

// startFirefox is for where only Firefox itself can make its first profile.
func startFirefox(folder string) error {
	return fault("start Firefox once, close it, and try again", "making the first profile of Firefox in %s: %w", folder, ErrUnsupported)
}

func (m Machine) snapFirefox() firefox {
	home := filepath.Join(m.Home, "snap", "firefox", "common")
	legacy, current := filepath.Join(home, ".mozilla", "firefox"), filepath.Join(home, ".config", "mozilla", "firefox")
	f := firefox{folders: []string{legacy, current}, folder: legacy}
	if !isDir(filepath.Dir(home)) && !isDir(filepath.Join(m.Root, "/snap/firefox/current")) {
		return f
	}
	f.first = &firstProfile{base: legacy}
	if !isDir(filepath.Dir(legacy)) && exists(filepath.Join(m.Home, ".mozilla", "firefox", profilesFile)) {
		f.first.fault = startFirefox(legacy) // which then copies the account's profiles
	}
	return f.orNamed()
}

func (m Machine) flatpakFirefox() firefox {
	home := filepath.Join(m.Home, ".var", "app", "org.mozilla.firefox")
	legacy, current := filepath.Join(home, ".mozilla", "firefox"), filepath.Join(home, "config", "mozilla", "firefox")
	f := firefox{folders: []string{legacy, current}, folder: current}
	if isDir(legacy) {
		f.folder = legacy
	}
	if !isDir(home) {
		return f
	}
	f.first = &firstProfile{base: f.folder, platform: "/app/lib/firefox"} // the same in every flatpak of it
	return f.orNamed()
}

// applicationFile is in the folder of every installation of Firefox.
const applicationFile = "application.ini"

// firefoxPlatform reports whether Firefox is on PATH, and the folder of its
// installation: empty when it could not be found, as when the program on PATH is
// a script that starts another, such as Ubuntu's for the snap.
func (m Machine) firefoxPlatform() (installed bool, platform string) {
	var folders []string
	for _, name := range []string{"firefox", "firefox-esr"} {
		program, err := m.LookPath(name)
		if err != nil {
			continue
		}
		installed = true
		if program, err = filepath.EvalSymlinks(program); err == nil {
			folders = append(folders, filepath.Dir(program))
		}
	}
	if !installed {
		return false, ""
	}
	for _, folder := range []string{"/usr/lib/firefox", "/usr/lib64/firefox", "/usr/lib/firefox-esr", "/usr/lib64/firefox-esr", "/opt/firefox"} {
		folders = append(folders, filepath.Join(m.Root, folder))
	}
	for _, folder := range folders {
		if exists(filepath.Join(folder, applicationFile)) {
			return true, folder
		}
	}
	return !isDir(filepath.Join(m.Root, "/snap/firefox/current")), ""
}

// firefoxVersion returns the major version in an application.ini, such as 153. One
// that cannot be read is taken for a present one.
func firefoxVersion(path string) int {
	const present = 1000
	data, err := readSmall(path, maxProfilesFile)
	if err != nil {
		return present
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if value, found := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Version="); found {
			major, _, _ := strings.Cut(value, ".")
			if n, err := strconv.Atoi(major); err == nil {
				return n
			}
		}
	}
	return present
}
