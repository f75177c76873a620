package trust

import "strings"

// quote makes s one word for the shell of the system goos (as runtime.GOOS), so
// that a command in a message can be pasted. Package certs has the same
// function, under the same test: neither package may import the other or a
// third for it.
func quote(goos, s string) string {
	plain := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+"
	if goos == "windows" {
		plain += `\`
	}
	switch {
	case s != "" && strings.Trim(s, plain) == "":
		return s
	case goos == "windows": // where no path can hold a double quote
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// listing is a command that shows who may do what with a file or folder.
func (m Machine) listing(path string) string {
	if m.OS == "windows" {
		return "icacls " + quote(m.OS, path)
	}
	return "ls -ld " + quote(m.OS, path)
}

// moveAway is a command that moves a damaged file or folder out of the way.
func (m Machine) moveAway(path string) string {
	command := "mv "
	if m.OS == "windows" {
		command = "move "
	}
	return command + quote(m.OS, path) + " " + quote(m.OS, path+".damaged")
}
