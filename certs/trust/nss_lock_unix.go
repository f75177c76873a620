//go:build darwin || linux

package trust

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// lockHolder reports whether another process holds a lock (fcntl(2)) on bytes of
// a file, and which. The process is 0 or less when the system does not say.
// A file that cannot be opened is locked by nobody.
func lockHolder(path string, start, length int64) (pid int, held bool) {
	file, err := openRegular(path)
	if err != nil {
		return 0, false
	}
	defer file.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: start, Len: length}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, false
	}
	return int(lock.Pid), lock.Type != syscall.F_UNLCK
}

// programName returns the name of the program that a process runs, and "" where
// that cannot be told: outside Linux.
func programName(pid int) string {
	if pid <= 0 {
		return ""
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return oneLine(strings.Map(func(r rune) rune { // a process chooses its own name
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(name)))
}
