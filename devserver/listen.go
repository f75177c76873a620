package devserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// portTries is how many ports in a row are tried before giving up; Vite and
// others walk upward likewise, and 8443–8452 stays clear of well-known ones.
const portTries = 10

// wsaeaddrinuse and wsaeaddrnotavail are what Windows reports (Winsock error
// codes 10048 and 10049); package syscall has other numbers for these names.
const (
	wsaeaddrinuse    = syscall.Errno(10048)
	wsaeaddrnotavail = syscall.Errno(10049)
)

// PortTakenError says that another program listens on the port.
type PortTakenError struct {
	Port int `json:"port"`
	// Owner is who has it, such as "node (process 4242)", where the system
	// tells; else empty.
	Owner string `json:"owner,omitempty"`
}

func (e *PortTakenError) Error() string {
	if e.Owner == "" {
		return fmt.Sprintf("port %d is taken by another program", e.Port)
	}
	return fmt.Sprintf("port %d is taken by %s", e.Port, e.Owner)
}

// AddressError says that the address to listen on is not one of this machine's.
type AddressError struct{ Host string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("this machine has no address %s", e.Host)
}

// listen opens the port, or one of the next when it may. taken is not nil when
// that happened.
func listen(host string, port int, strict bool) (ls []net.Listener, taken *PortTakenError, err error) {
	tries := portTries
	if strict || port == 0 {
		tries = 1
	}
	for p := port; p < port+tries && p <= 65535; p++ {
		ls, err = listenOn(host, p)
		if err == nil {
			return ls, taken, nil
		}
		if !isTaken(err) {
			return nil, nil, err
		}
		if taken == nil {
			taken = &PortTakenError{Port: port, Owner: portOwner(port)}
		}
	}
	if strict {
		return nil, nil, taken
	}
	return nil, nil, fmt.Errorf("%w, and so are the %d after it", taken, tries-1)
}

func isTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaeaddrinuse)
}

// listenOn opens one port number. Loopback has two addresses, and browsers try
// both for "localhost", so both are opened where the machine has both.
func listenOn(host string, port int) ([]net.Listener, error) {
	switch host {
	case AllInterfaces:
		host = ""
	case "":
		return listenLoopback(port)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if isMissing(err) {
		return nil, &AddressError{host}
	}
	if err != nil {
		return nil, fmt.Errorf("listening on port %d: %w", port, err)
	}
	return []net.Listener{l}, nil
}

func listenLoopback(port int) ([]net.Listener, error) {
	for try := 0; ; try++ {
		v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf("listening on port %d: %w", port, err)
		}
		got := v4.Addr().(*net.TCPAddr).Port
		v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(got)))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, nil
		case !isTaken(err): // no IPv6 here: IPv4 alone will do
			return []net.Listener{v4}, nil
		}
		v4.Close()
		if port != 0 || try == portTries {
			return nil, fmt.Errorf("listening on port %d: %w", got, err)
		}
	}
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, wsaeaddrnotavail)
}
