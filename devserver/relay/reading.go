package relay

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// maxReadErrors is how many errors in a row reading outlives: about 5 s.
const maxReadErrors = 100

// tooLong is what Windows returns for a datagram above the buffer (WSAEMSGSIZE), where
// other systems cut it.
const tooLong = syscall.Errno(10040)

// readErrors are a UDP socket's errors of reading in a row. Most concern one datagram, or
// pass; whoever sends to the socket must not be able to end its reading.
type readErrors int

// end says whether err, which may be nil, ends the reading. Else it pauses, but not
// after a datagram that was too long: that one is read.
func (e *readErrors) end(err error, closed <-chan struct{}) bool {
	switch {
	case err == nil:
		*e = 0
		return false
	case errors.Is(err, net.ErrClosed):
		return true
	case errors.Is(err, tooLong):
		return false
	}
	*e++
	if *e > maxReadErrors {
		return true
	}
	select {
	case <-time.After(time.Duration(*e) * time.Millisecond):
		return false
	case <-closed:
		return true
	}
}
