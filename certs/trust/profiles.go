package trust

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// profilesFile is Firefox's list of its profiles, in the folder they are in.
const profilesFile = "profiles.ini"

// Bounds of what is read of profiles.ini: a list of real profiles takes less than
// a hundred bytes for each.
const (
	maxProfilesFile = 1 << 20 // bytes
	maxProfiles     = 1000
)

// parseProfiles returns the folders of the profiles that the text of a
// profiles.ini in the folder base names, cleaned and each once, whether they exist
// or not. What Firefox would not accept is passed over: a section without Path or
// IsRelative; and so is a relative path that leads out of base, and a file that is
// no text.
//
// The format is that of Mozilla's nsINIParser: sections in brackets, key=value,
// comment lines that begin with # or ;. Profiles are in the sections [Profile0],
// [Profile1] and so on.
func parseProfiles(base string, data []byte) []string {
	if len(data) > maxProfilesFile {
		return nil
	}
	var folders []string
	var section map[string]string // the present one, when it is a profile's
	end := func() {
		folder := profileFolder(base, section["Path"], section["IsRelative"])
		if folder != "" && len(folders) < maxProfiles && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
		section = nil
	}
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if name, isSection := strings.CutPrefix(line, "["); isSection {
			end()
			if strings.HasPrefix(name, "Profile") && strings.HasSuffix(name, "]") {
				section = make(map[string]string)
			}
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if found && section != nil && key != "" && !strings.ContainsAny(key[:1], "#;") {
			section[key] = value
		}
	}
	end()
	return folders
}

// profileFolder is where one profile is, or "" when its entry is not acceptable.
func profileFolder(base, path, isRelative string) string {
	if path == "" || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	path = filepath.FromSlash(path)
	switch {
	case isRelative == "1" && filepath.IsLocal(path) && filepath.Clean(path) != ".":
		return filepath.Join(base, path)
	case isRelative == "0" && filepath.IsAbs(path):
		return filepath.Clean(path)
	}
	return ""
}

// profilesIn returns the profiles that exist in one of Firefox's folders: those
// that its profiles.ini names, and then those that have a database and are not
// named, such as those of the profile groups of Firefox 138 and later.
func profilesIn(base string) []string {
	var found []string
	data, err := readSmall(filepath.Join(base, profilesFile), maxProfilesFile)
	if err == nil {
		found = slices.DeleteFunc(parseProfiles(base, data), func(dir string) bool { return !isDir(dir) })
	}
	for _, folder := range []string{base, filepath.Join(base, "Profiles")} { // the latter on macOS and Windows
		entries, _ := os.ReadDir(folder) // one that is not there, or not to be read, has none to name
		for _, e := range entries {
			dir := filepath.Join(folder, e.Name())
			if unnamed := !slices.Contains(found, dir); unnamed && exists(filepath.Join(dir, "cert9.db")) {
				found = append(found, dir)
			}
		}
	}
	return found
}
