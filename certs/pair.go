package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// WriteError says that a certificate or its key could not be written. On a full
// disk, and where nothing may be written, everything is as it was.
type WriteError struct {
	File string // the file that was to be written, or the folder for it
	Err  error  // what the system said
}

// Error returns "FILE cannot be written: CAUSE".
func (e *WriteError) Error() string {
	return fmt.Sprintf("%s cannot be written: %v", e.File, cause(e.Err))
}

// Unwrap returns what the system said.
func (e *WriteError) Unwrap() error { return e.Err }

func refuseExisting(files []newFile) error {
	var e ExistsError
	for _, file := range files {
		if _, err := os.Lstat(file.path); err == nil {
			e.Files = append(e.Files, file.path)
		}
	}
	if e.Files == nil {
		return nil
	}
	slices.Sort(e.Files) // cert.pem first: the order of writing is another one
	return &e
}

// WritePair writes a certificate for other servers to use: cert.pem with the
// whole chain, leaf first, and key.pem with the private key (PKCS#8, mode 0600).
// It makes the folder dir if need be. Files that exist are an [*ExistsError],
// unless replace is set; then each is replaced as a whole, so that a reader sees
// the old or the new one, never a part. What cannot be written is a
// [*WriteError].
func WritePair(dir string, c *tls.Certificate, replace bool) (certPath, keyPath string, err error) {
	keyDER, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", "", fmt.Errorf("encoding the private key: %w", err)
	}
	cert := newFile{filepath.Join(dir, "cert.pem"), encodeChain(c), 0o644}
	key := newFile{filepath.Join(dir, "key.pem"), encodePEM(blockKey, keyDER), 0o600}
	if err := writeFiles(dir, replace, key, cert); err != nil {
		return "", "", err
	}
	return cert.path, key.path, nil
}

// WriteCertificate is [WritePair] for a certificate whose key is elsewhere, as
// [Authority.SignRequest] makes it: it writes cert.pem and leaves key.pem alone.
func WriteCertificate(dir string, c *tls.Certificate, replace bool) (certPath string, err error) {
	cert := newFile{filepath.Join(dir, "cert.pem"), encodeChain(c), 0o644}
	if err := writeFiles(dir, replace, cert); err != nil {
		return "", err
	}
	return cert.path, nil
}

func encodeChain(c *tls.Certificate) []byte {
	var chain bytes.Buffer
	for _, der := range c.Certificate {
		chain.Write(encodePEM(blockCertificate, der))
	}
	return chain.Bytes()
}

// newFile is a file that is to be written.
type newFile struct {
	path string
	data []byte
	mode os.FileMode
}

// writeFiles writes files into the folder dir. All are written before one is put
// in place: a full disk changes nothing.
func writeFiles(dir string, replace bool, files ...newFile) (err error) {
	if !replace {
		if err := refuseExisting(files); err != nil {
			return err
		}
	}
	dir = filepath.Clean(dir) // as the files' paths are
	made := missingFolders(dir)
	defer func() {
		if err != nil {
			for _, folder := range made {
				_ = os.Remove(folder) // unless somebody else has put something into it
			}
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &WriteError{dir, err}
	}
	temporary := make([]string, len(files))
	for i, file := range files {
		path, err := writeTemporary(dir, file.data, file.mode)
		if err != nil {
			return &WriteError{file.path, err}
		}
		defer os.Remove(path)
		temporary[i] = path
	}
	for i, file := range files {
		if err := os.Rename(temporary[i], file.path); err != nil {
			return &WriteError{file.path, err}
		}
	}
	syncDir(dir)
	return nil
}

// missingFolders lists dir and the folders above it that are not there, the
// deepest first.
func missingFolders(dir string) []string {
	var missing []string
	for path := dir; ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		missing = append(missing, path)
	}
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
