package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// everything is a fingerprint of every file of the account and of the system's
// stores, by path. A Java keystore and an NSS database are never written twice alike: their
// entries count.
func (a *account) everything() map[string]string {
	a.t.Helper()
	found := make(map[string]string)
	for _, dir := range []string{a.home, "/etc/ssl", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/usr/local/share",
		"/etc/chromium", "/etc/opt", "/etc/firefox", "/etc/firefox-esr"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // a folder that does not exist
			}
			found[path] = a.fingerprint(path, d)
			return nil
		})
		if err != nil {
			a.t.Fatal(err)
		}
	}
	return found
}

func (a *account) fingerprint(path string, d fs.DirEntry) string {
	switch {
	case d.IsDir():
		return "folder"
	case d.Type()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		return "link to " + target
	case d.Name() == "cert9.db": // nor are these
		return a.output("certutil", "-L", "-d", "sql:"+filepath.Dir(path))
	case d.Name() == "key4.db":
		return "keys"
	case path == "/etc/ssl/certs/java/cacerts":
		return a.output("keytool", "-list", "-keystore", path, "-storepass", "changeit")
	case !d.Type().IsRegular():
		return d.Type().String()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// difference is what is in one and not in the other, or not the same.
func difference(before, after map[string]string) map[string]string {
	changed := make(map[string]string)
	for _, path := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if before[path] != after[path] {
			changed[path] = before[path] + " -> " + after[path]
		}
	}
	return changed
}

// databases are the NSS databases below a home folder.
func databases(home string) []string {
	var found []string
	_ = filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "cert9.db" {
			found = append(found, filepath.Dir(path))
		}
		return nil
	})
	return found
}
