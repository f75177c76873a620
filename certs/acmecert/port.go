package acmecert

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime"
	"strconv"
	"syscall"
)

// tryPort finds whether a port can be opened for a check. public is the port that the authority
// connects to.
func (m *Manager) tryPort(port, public int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(m.cfg.ListenHost, strconv.Itoa(port)))
	if err == nil {
		return listener.Close()
	}
	what := fmt.Sprintf("port %d, where the authority looks, ", port)
	if port != public {
		what = fmt.Sprintf("port %d, where port %d is to arrive, ", port, public)
	}
	p := &Problem{Kind: PortTaken, Err: err, What: what + "cannot be opened"}
	forward := fmt.Sprintf("have port %d of the router or web server forwarded to another port and name that: --%s-challenge-port", public, map[int]string{httpChallengePort: "http", tlsChallengePort: "tls"}[public])
	switch {
	case errors.Is(err, fs.ErrPermission) && runtime.GOOS == "linux":
		p.Fix = "allow it once: sudo setcap cap_net_bind_service=+ep \"$(command -v rtcdev)\"; or run rtcdev with sudo; or " + forward
	case errors.Is(err, fs.ErrPermission):
		p.Fix = "run rtcdev with sudo, or " + forward
	case errors.Is(err, syscall.EADDRINUSE):
		p.What = what + "is taken by another program"
		p.Fix = "stop that program while the certificate is made, or " + forward + ", or use --dns-hook, or port 443: --challenge tls-alpn-01"
	default:
		p.Fix = forward
	}
	return p
}
