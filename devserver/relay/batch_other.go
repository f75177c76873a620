//go:build !linux

package relay

// readBatches is for Linux.
func (f *udpFront) readBatches() (tried bool, err error) { return false, nil }
