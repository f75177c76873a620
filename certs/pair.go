package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ExistsError says that files which were to be written exist already. Nothing
// was written.
type ExistsError struct{ Files []string }

// Error names the files.
func (e *ExistsError) Error() string {
	verb := "exists"
	if len(e.Files) > 1 {
		verb = "exist"
	}
	return fmt.Sprintf("%s already %s, and may be in use", strings.Join(e.Files, " and "), verb)
}

func refuseExisting(paths ...string) error {
	var e ExistsError
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			e.Files = append(e.Files, path)
		}
	}
	if e.Files != nil {
		return &e
	}
	return nil
}

// WritePair writes a certificate for other servers to use: cert.pem with the
// whole chain, leaf first, and key.pem with the private key (PKCS#8, mode 0600).
// It makes the folder dir if need be. Files that exist are an [*ExistsError],
// unless replace is set; then each is replaced as a whole, so that a reader sees
// the old or the new one, never a part.
func WritePair(dir string, c *tls.Certificate, replace bool) (certPath, keyPath string, err error) {
	certPath, keyPath = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if !replace {
		if err := refuseExisting(certPath, keyPath); err != nil {
			return "", "", err
		}
	}
	var chain bytes.Buffer
	for _, der := range c.Certificate {
		chain.Write(encodePEM(blockCertificate, der))
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", "", fmt.Errorf("encoding the private key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("making the folder for the certificate: %w; choose another folder", err)
	}
	// Both are written before either is put in place: a full disk changes
	// nothing.
	newKey, err := writeTemporary(dir, encodePEM(blockKey, keyDER), 0o600)
	if err != nil {
		return "", "", fmt.Errorf("writing %s: %w", keyPath, err)
	}
	defer os.Remove(newKey)
	newCert, err := writeTemporary(dir, chain.Bytes(), 0o644)
	if err != nil {
		return "", "", fmt.Errorf("writing %s: %w", certPath, err)
	}
	defer os.Remove(newCert)
	if err := os.Rename(newKey, keyPath); err != nil {
		return "", "", fmt.Errorf("writing %s: %w", keyPath, err)
	}
	if err := os.Rename(newCert, certPath); err != nil {
		return "", "", fmt.Errorf("writing %s: %w", certPath, err)
	}
	syncDir(dir)
	return certPath, keyPath, nil
}

// writeTemporary writes a new file with a random name into dir.
func writeTemporary(dir string, data []byte, mode os.FileMode) (string, error) {
	file, err := os.CreateTemp(dir, ".rtcdev-*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}
