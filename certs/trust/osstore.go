package trust

import (
	"context"
	"crypto/sha1" // the name by which the keychains and Windows know a certificate; nothing is proven with it
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the stores of macOS and Windows have in common.

// ErrDeclined is why a store stayed as it was: macOS or Windows asked in a window
// of its own, and nobody there agreed.
var ErrDeclined = errors.New("it was declined")

// promptTimeout bounds a command that opens a window and waits for a person.
const promptTimeout = 3 * time.Minute

// patient is m with more time for one command, unless the caller set a limit.
func (m Machine) patient(limit time.Duration) Machine {
	if m.Timeout == 0 {
		m.Timeout = limit
	}
	return m
}

// program returns the first of some programs that is there.
func (m Machine) program(candidates ...string) (string, bool) {
	for _, candidate := range candidates {
		if path, err := m.LookPath(candidate); err == nil {
			return path, true
		}
	}
	return "", false
}

// madeByUs reports whether a certificate has the subject of our roots. The
// keychains and Windows keep no name of ours beside a certificate, so this is how
// a root is known whose authority is gone.
func madeByUs(cert *x509.Certificate) bool {
	return cert.IsCA && slices.Equal(cert.Subject.Organization, []string{"rtcdev"}) &&
		strings.HasPrefix(cert.Subject.CommonName, nickPrefix)
}

// rootsOfOurs returns the certificates in ders that are our roots, each once.
func rootsOfOurs(ders [][]byte) []*x509.Certificate {
	var roots []*x509.Certificate
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err == nil && madeByUs(cert) && !slices.ContainsFunc(roots, cert.Equal) {
			roots = append(roots, cert)
		}
	}
	return roots
}

// others counts the roots that are not root.
func others(roots []*x509.Certificate, root *x509.Certificate) int {
	return len(roots) - len(slices.DeleteFunc(slices.Clone(roots), func(r *x509.Certificate) bool { return !r.Equal(root) }))
}

// thumbprint is the SHA-1 of a certificate in upper-case hexadecimal, by which
// `security delete-certificate -Z` and certutil.exe find it.
func thumbprint(root *x509.Certificate) string {
	sum := sha1.Sum(root.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// rootFile writes root, as PEM, into a file that other accounts may read: with
// sudo under WSL, Windows reads it as the ordinary user.
func rootFile(root *x509.Certificate) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "rtcdev-root-*")
	if err != nil {
		return "", nil, fmt.Errorf("writing the root for another program: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) } // a public certificate in the folder for temporary files
	path = filepath.Join(dir, "root.crt")
	err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o644)
	// Whatever the umask is.
	if err := errors.Join(err, os.Chmod(path, 0o644), os.Chmod(dir, 0o755)); err != nil {
		remove()
		return "", nil, fmt.Errorf("writing the root for another program: %w", err)
	}
	return path, remove, nil
}

// exitCode returns the number a program ended with, and false when it did not
// run to its end.
func exitCode(err error) (int, bool) {
	var ended interface{ ExitCode() int } // *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() == -1 {
		return 0, false
	}
	return ended.ExitCode(), true
}

// gaveUp reports whether an error of Machine.output says that the program was
// stopped, and not what it answered.
func gaveUp(ctx context.Context, err error) bool {
	return errors.Is(err, ErrTimeout) || ctx.Err() != nil
}
