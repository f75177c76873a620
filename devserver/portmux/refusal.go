package portmux

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// Refusal is a TLS handshake that failed.
type Refusal struct {
	Remote, Local net.Addr
	// ServerName is the name the client asked for (SNI, RFC 6066 §3); empty when it
	// asked for none, as with an address, or did not get so far.
	ServerName string
	Reason     Reason
	// Alert is what the client sent, for CertificateRefused and AlertSent; else 0.
	Alert tls.AlertError
	// Err is the error of the handshake, for someone looking for a fault.
	Err error
}

// Reason is why a TLS handshake failed.
type Reason int

// The reasons. A client's alert is a fact; WentAway can be a refusal, too: Node leaves
// without a word when it does not trust the certificate.
const (
	// Failed means that client and server have no version, cipher suite or protocol
	// in common, or that the client broke the rules of TLS.
	Failed Reason = iota
	// CertificateRefused means that the client sent one of the alerts about
	// certificates: 42 to 46 and 48 (RFC 8446 §6.2). Chromium sends [CertificateUnknown]
	// for a root it does not trust, Firefox and OpenSSL send [UnknownCA].
	CertificateRefused
	// AlertSent means that the client sent another alert.
	AlertSent
	// NoCertificate means that GetCertificate gave none for the name, or failed.
	NoCertificate
	// NotTLS means that no TLS record followed the first byte.
	NotTLS
	// TimedOut means that the client took longer than Config.Patience.
	TimedOut
	// WentAway means that the client closed the connection, or that it broke.
	WentAway
)

func (r Reason) String() string {
	names := [...]string{"failed", "certificate refused", "alert sent", "no certificate", "not TLS", "timed out", "went away"}
	if r < 0 || int(r) >= len(names) {
		return fmt.Sprintf("reason %d", int(r))
	}
	return names[r]
}

// The alerts about certificates (RFC 8446 §6, §6.2).
const (
	BadCertificate         tls.AlertError = 42
	UnsupportedCertificate tls.AlertError = 43
	CertificateRevoked     tls.AlertError = 44
	CertificateExpired     tls.AlertError = 45
	CertificateUnknown     tls.AlertError = 46
	UnknownCA              tls.AlertError = 48
)

// badRecordMAC is what crypto/tls answers to a record that does not decrypt.
const badRecordMAC tls.AlertError = 20

// reasonOf decides from the error of a handshake, and what was noted beside it. The
// alert is the client's, or 0.
func (b *beginning) reasonOf(err error) (Reason, tls.AlertError) {
	if alert := alertOf(err); alert != 0 {
		return reasonOfAlert(alert), alert
	}
	var header tls.RecordHeaderError
	var op *net.OpError
	isOp := errors.As(err, &op)
	switch {
	case isOp && op.Op == "local error" && op.Err.Error() == badRecordMAC.Error() && b.alert != 0:
		return reasonOfAlert(b.alert), b.alert
	case b.noCertificate:
		return NoCertificate, 0
	case errors.As(err, &header) && header.Conn != nil: // so it was the first record
		return NotTLS, 0
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut, 0
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isOp && (op.Op == "read" || op.Op == "write"):
		return WentAway, 0
	}
	return Failed, 0
}

func reasonOfAlert(alert tls.AlertError) Reason {
	if alert >= BadCertificate && alert <= CertificateUnknown || alert == UnknownCA {
		return CertificateRefused
	}
	return AlertSent
}

// alertOf returns the alert that the other side sent, or 0, which is close_notify
// and never an error. crypto/tls wraps it in a net.OpError, but keeps the number to
// itself; its text is the same as that of the exported tls.AlertError.
func alertOf(err error) tls.AlertError {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0
	}
	text := op.Err.Error()
	for n := range 256 {
		if alert := tls.AlertError(n); alert.Error() == text {
			return alert
		}
	}
	return 0
}
