//go:build darwin || linux

package trust

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// mayWrite reports whether the mode of a file or folder lets m's user write it.
// Access control lists are not looked at.
func (m Machine) mayWrite(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || m.UID == 0 {
		return true
	}
	groups, _ := os.Getgroups() // without them, only the owner's and everybody's rights count
	switch mode := info.Mode(); {
	case int(stat.Uid) == m.UID:
		return mode&0o200 != 0 || !info.IsDir() // a file's own missing right is reported by itself
	case slices.Contains(groups, int(stat.Gid)) && m.UID == os.Geteuid():
		return mode&0o020 != 0
	default:
		return mode&0o002 != 0
	}
}

func ownedByRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}

// giveLike gives file the owner of another when this process is root's, which
// alone can: otherwise both are the same user's.
func giveLike(file *os.File, like fs.FileInfo) error {
	stat, ok := like.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return file.Chown(int(stat.Uid), int(stat.Gid))
}

// isReadOnly reports whether err comes from a file system that is read-only.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
