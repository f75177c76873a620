//go:build darwin || linux

package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const withoutSudo = "run the same command without sudo"

// maxLinks is how many links a path may lead through, as in Linux.
const maxLinks = 40

// guarded returns an ErrNotOwner fault when m is root's and another user may
// change a path, or lead it elsewhere: the path itself, what is above it, and each
// link on the way, as far as they exist.
func (m Machine) guarded(path string) error {
	if m.UID != 0 {
		return nil
	}
	here, ahead, links := "/", strings.Split(path, "/"), 0
	for len(ahead) > 0 {
		name := ahead[0]
		ahead = ahead[1:]
		if here = filepath.Join(here, name); name == "" || name == "." || name == ".." {
			continue // ".." leads to what was looked at before
		}
		info, err := os.Lstat(here)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking at who may change %s: %w", path, err)
		}
		if err := rootsOwn(here, info); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink(here)
		if links++; err != nil || links > maxLinks {
			return fmt.Errorf("looking at who may change %s: too many links: %w", path, errors.Join(err, syscall.ELOOP))
		}
		if here = filepath.Dir(here); filepath.IsAbs(target) {
			here = "/"
		}
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	return nil
}

// guardedFolder is guarded for a folder and everything in it, but not what is
// further below.
func (m Machine) guardedFolder(dir string) error {
	if m.UID != 0 {
		return nil
	}
	if err := m.guarded(dir); err != nil {
		return err
	}
	if info, err := os.Stat(dir); err == nil && info.Mode()&0o022 != 0 { // also with the sticky bit
		return writtenByOthers(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("looking at who may change %s: %w", dir, err)
	}
	for _, e := range entries {
		if err := m.guarded(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// rootsOwn returns an ErrNotOwner fault unless only root can change a file or
// folder. In a folder with the sticky bit, such as /tmp, others can make files, but
// not replace those of root.
func rootsOwn(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fault(withoutSudo, "root leaves it alone: %s: %w", path, ErrNotOwner)
	}
	if info.Mode()&0o022 != 0 && info.Mode()&(fs.ModeSticky|fs.ModeSymlink) == 0 {
		return writtenByOthers(path)
	}
	return nil
}

// writtenByOthers is the fault of what is root's and open to a group or everyone,
// such as Debian's /usr/local/lib: without sudo nothing would be won there.
func writtenByOthers(path string) error {
	return fault("once you are sure that nobody else has changed it: sudo chmod go-w "+quote("linux", path), "root leaves it alone: others may write %s, so in effect %w", path, ErrNotOwner)
}
