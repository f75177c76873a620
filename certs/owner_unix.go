//go:build unix

package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	user := os.Geteuid()
	owner := ownerOf(info)
	if owner == user {
		return nil
	}
	fix := "run it as the owner (without sudo), or set RTCDEV_HOME to a folder of your own"
	if above, err := os.Stat(filepath.Dir(path)); err == nil && !info.IsDir() && ownerOf(above) == user {
		fix = fmt.Sprintf("sudo chown %d %s", user, quote(runtime.GOOS, path)) // in a folder of this user's
	}
	return &StoreError{File: path, Err: ErrNotOwner, Fix: fix,
		Reason: fmt.Sprintf("belongs to user %d, but this command runs as user %d", owner, user)}
}

// openToOwner returns the command that lets the owner, and nobody else, read a
// file or folder.
func openToOwner(path string, info fs.FileInfo) string {
	mode := "600"
	if info.IsDir() {
		mode = "700"
	}
	return "chmod " + mode + " " + quote(runtime.GOOS, path)
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
	what, fix := "is open to other users", openToOwner(path, info)
	switch {
	case !info.IsDir():
		what = "holds a private key that other users can read or change"
		fix += ". Others may have copied it by now; the safe way is a new authority: rtcdev certs new-authority"
	case mode&changeByOthers != 0:
		what = "can be changed by other users"
	}
	return &StoreError{File: path, Err: errExposed, Reason: fmt.Sprintf("%s (mode %04o)", what, mode), Fix: fix}
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
