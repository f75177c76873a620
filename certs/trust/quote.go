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
