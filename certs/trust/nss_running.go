package trust

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// running reports whether the browser that reads the database is known to run, so
// that a person can be told to restart it. False is no proof: of a flatpak it
// cannot be told, and a relative of Chromium may keep its lock elsewhere.
func (s nssStore) running() bool {
	switch {
	case s.browser == "":
		return false
	case s.kind == KindFirefox: // it locks the whole file as long as it uses the profile
		_, held := lockHolder(filepath.Join(s.dir, ".parentlock"), 0, 0)
		return held
	case within(filepath.Join(s.m.Home, "snap"), s.dir):
		return chromiumRuns(filepath.Join(s.m.Home, "snap", "chromium", "common", "chromium"))
	case within(filepath.Join(s.m.Home, ".var"), s.dir): // its process has another number there
		return false
	}
	return slices.ContainsFunc([]string{"chromium", "google-chrome", "google-chrome-beta", "google-chrome-unstable", "microsoft-edge",
		"BraveSoftware/Brave-Browser", "vivaldi"}, func(name string) bool {
		return chromiumRuns(filepath.Join(s.m.ConfigHome, name))
	})
}

// chromiumRuns looks at the link SingletonLock in a user data folder, whose
// target is HOST-PROCESS. It outlives a Chromium that was killed, and then
// another program may have that number.
func chromiumRuns(folder string) bool {
	target, err := os.Readlink(filepath.Join(folder, "SingletonLock"))
	if err != nil {
		return false
	}
	host, process, found := cutLast(target, "-")
	if here, err := os.Hostname(); err != nil || !found || host != here {
		return false
	}
	pid, err := strconv.Atoi(process)
	if err != nil {
		return false
	}
	name := programName(pid)
	return slices.ContainsFunc([]string{"chrom", "edge", "brave", "vivaldi"}, func(part string) bool {
		return strings.Contains(name, part)
	})
}

// cutLast is strings.Cut around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
