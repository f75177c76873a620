//go:build unix

package templates

import "syscall"

// checkWritable asks the system whether files can be made in dir, so that a dry
// run gives the same answer as a real one.
func checkWritable(dir string) error {
	const writeAndSearch = 2 | 1 // W_OK | X_OK of access(2)
	return syscall.Access(dir, writeAndSearch)
}
