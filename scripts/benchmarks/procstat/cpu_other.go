//go:build !linux

package procstat

import "time"

// CPU returns [ErrUnsupported].
func CPU(int) (time.Duration, error) { return 0, ErrUnsupported }
