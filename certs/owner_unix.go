//go:build unix

package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

const (
	anyByOthers    fs.FileMode = 0o077 // read, write, search: by the group or by everyone
	changeByOthers fs.FileMode = 0o022
)

// checkOwner returns a *StoreError if the file or folder belongs to another
// user.
func checkOwner(path string, info fs.FileInfo) error {
	if owner := ownerOf(info); owner != os.Geteuid() {
		return &StoreError{File: path, Err: ErrNotOwner,
			Reason: fmt.Sprintf("belongs to user %d, but this command runs as user %d", owner, os.Geteuid()),
			Fix:    "run it as the owner (without sudo), or set RTCDEV_HOME to a folder of your own"}
	}
	return nil
}

// checkMode returns a *StoreError if others may change the file or folder or,
// when it is to be private, read it.
func checkMode(path string, info fs.FileInfo, private bool) error {
	mode, forbidden := info.Mode().Perm(), changeByOthers
	if private {
		forbidden = anyByOthers
	}
	if mode&forbidden == 0 {
		return nil
	}
	what, fix := "is open to other users", "chmod 700 "
	switch {
	case !info.IsDir():
		what, fix = "holds a private key that other users can read or change", "chmod 600 "
	case mode&changeByOthers != 0:
		what = "can be changed by other users"
	}
	return &StoreError{File: path, Err: errExposed, Reason: fmt.Sprintf("%s (mode %04o)", what, mode), Fix: fix + quote(runtime.GOOS, path)}
}

// checkParent returns a *StoreError if others may put a folder of theirs in the
// place of one in parent. Where the sticky bit is set, as on /tmp, only the
// owner of parent may: this user or root.
func checkParent(parent string) error {
	info, err := os.Stat(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it will be made for this user only
	}
	if err != nil {
		return unreadable(parent, err)
	}
	owner := ownerOf(info)
	safe := info.Mode()&fs.ModeSticky != 0 && (owner == os.Geteuid() || owner == 0)
	if safe || info.Mode().Perm()&changeByOthers == 0 {
		return nil
	}
	return &StoreError{File: parent,
		Reason: fmt.Sprintf("can be changed by other users (mode %04o), who could replace the authority in it", info.Mode().Perm()),
		Fix:    "chmod go-w " + quote(runtime.GOOS, parent) + ", or set RTCDEV_HOME to a folder of your own"}
}

// ownerOf returns the number of a file's user.
func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
