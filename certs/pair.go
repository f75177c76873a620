package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WritePair writes a certificate for other servers to use: cert.pem with the
// whole chain, leaf first, and key.pem with the private key (PKCS#8, mode 0600).
// It makes the folder dir if need be. Each file is replaced as a whole, so that
// a reader sees the old or the new one, never a part.
func WritePair(dir string, c *tls.Certificate) (certPath, keyPath string, err error) {
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
	certPath, keyPath = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
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
