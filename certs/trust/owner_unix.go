//go:build unix

package trust

import (
	"os"
	"syscall"
)

// ownedByAnother reports whether a path belongs to somebody else than the
// user this process runs as.
func ownedByAnother(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) != os.Geteuid()
}
