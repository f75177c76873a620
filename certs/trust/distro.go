package trust

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"
)

// certutilFix says how to get certutil on this machine's distribution.
func (m Machine) certutilFix() string {
	for _, id := range m.distribution() {
		switch id {
		case "debian", "ubuntu":
			return "sudo apt install libnss3-tools"
		case "fedora", "rhel", "centos":
			return "sudo dnf install nss-tools"
		case "arch":
			return "sudo pacman -S nss"
		case "suse", "opensuse", "sles":
			return "sudo zypper install mozilla-nss-tools"
		case "alpine":
			return "sudo apk add nss-tools"
		}
	}
	return "install the package that brings certutil: libnss3-tools (Debian), nss-tools (Fedora), nss (Arch) or mozilla-nss-tools (SUSE)"
}

// distribution returns ID and then the words of ID_LIKE from os-release(5),
// nearest relative first.
func (m Machine) distribution() []string {
	raw, err := readSmall(filepath.Join(m.Root, "/etc/os-release"), maxProfilesFile)
	if err != nil {
		return nil
	}
	var own string
	var like []string
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch strings.TrimSpace(key) {
		case "ID":
			own = value
		case "ID_LIKE":
			like = strings.Fields(value)
		}
	}
	return append([]string{own}, like...)
}
