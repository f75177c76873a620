//go:build unix

package certs

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// checkOwner returns a *StoreError if the file or folder belongs to another
// user, or if its mode has any of the forbidden bits.
func checkOwner(path string, info fs.FileInfo, forbidden fs.FileMode) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return &StoreError{File: path,
			Reason: fmt.Sprintf("belongs to user %d, but this command runs as user %d", stat.Uid, os.Geteuid()),
			Fix:    "run it as the owner (without sudo), or set RTCDEV_HOME to a folder of your own"}
	}
	mode := info.Mode().Perm()
	if mode&forbidden == 0 {
		return nil
	}
	if info.IsDir() {
		return &StoreError{File: path, Reason: fmt.Sprintf("can be changed by other users (mode %04o)", mode),
			Fix: "chmod 700 " + quote(runtime.GOOS, path)}
	}
	return &StoreError{File: path, Reason: fmt.Sprintf("holds a private key that other users can read or change (mode %04o)", mode),
		Fix: "chmod 600 " + quote(runtime.GOOS, path)}
}
