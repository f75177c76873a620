//go:build !darwin && !linux

package trust

import "os"

// Where there are no such owners, these do nothing.

const nonblocking = 0

func giveToOwner(*os.File, *os.Root) error { return nil }
