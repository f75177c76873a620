//go:build darwin || linux

package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// rootsAlone returns nil when nobody but root can change a file or what a path to
// it leads to, or when this process is not root's. Links are followed; a folder
// that is sticky, such as /tmp, may be everybody's.
func (m Machine) rootsAlone(path string) error {
	if m.UID != 0 {
		return nil
	}
	at, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return err
		case !ownedByRoot(info):
			return fault("run the same command without sudo", "%s: %w", next, ErrNotOwner)
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > 40 { // as many as Linux follows
				return fmt.Errorf("%s: %w", next, syscall.ELOOP)
			}
			target, err := os.Readlink(next)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		case info.Mode()&0o022 != 0 && !(info.IsDir() && info.Mode()&fs.ModeSticky != 0):
			return fault("sudo chmod go-w "+quote(m.OS, next), "others may change %s, so for root %w", next, ErrNotOwner)
		default:
			at = next
		}
	}
	return nil
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
