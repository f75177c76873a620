package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// maxStoreFile bounds what is read of a store's file, in bytes. A certificate
// takes about one thousand.
const maxStoreFile = 64 << 10

// open loads and checks the store in dir.
func open(dir string, now func() time.Time) (a *Authority, err error) {
	err = steadily(dir, func() error {
		a, err = load(dir, now)
		return err
	})
	return a, err
}

// steadily calls read, and again if it failed while another process put a new
// store in the place of the one in dir: it may have met files of both, or none.
// What was read without a fault is of one store, since the parts prove that they
// belong together.
func steadily(dir string, read func() error) error {
	const tries = 20 // in a row, each with another folder: more than any person replaces
	for try := 1; ; try++ {
		before, _ := os.Stat(dir)
		err := read()
		after, _ := os.Stat(dir)
		if err == nil || try == tries || sameFolder(before, after) {
			return err
		}
	}
}

// sameFolder reports whether a folder is still the one that it was, with what it
// held; nil stands for none. Its number alone may be that of a deleted folder.
func sameFolder(before, after fs.FileInfo) bool {
	if before == nil || after == nil {
		return before == nil && after == nil
	}
	return os.SameFile(before, after) && before.ModTime().Equal(after.ModTime())
}

func load(dir string, now func() time.Time) (*Authority, error) {
	if err := checkFolder(dir, true); err != nil {
		return nil, err
	}
	s := &storeReader{dir: dir}
	a := &Authority{
		root:         s.root(),
		intermediate: s.certificate(intermediateFile),
		key:          s.privateKey(),
		now:          now,
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := a.check(dir); err != nil {
		return nil, err
	}
	return a, nil
}

// checkFolder returns an error that wraps ErrNoAuthority if there is no folder
// or nothing in it, and a *StoreError if it is not one to rely on: others may
// never change it, and a private one must be this user's and closed to others.
func checkFolder(dir string, private bool) error {
	if blocker, ok := fileInTheWay(dir); ok {
		return notFolder(blocker)
	}
	if err := checkParent(filepath.Dir(dir)); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return fmt.Errorf("opening %s: %w", dir, ErrNoAuthority)
	}
	if err != nil {
		return unreadable(dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return unreadable(dir, err)
	}
	if private {
		if err := checkOwner(dir, info); err != nil {
			return err
		}
	}
	return checkMode(dir, info, private)
}

// storeReader reads the files of a store and keeps the first fault.
type storeReader struct {
	dir string
	err error
}

func (s *storeReader) fail(name, format string, args ...any) {
	if s.err == nil {
		s.err = damaged(s.dir, name, fmt.Sprintf(format, args...))
	}
}

// block returns the contents of a file's only PEM block, or nil.
func (s *storeReader) block(name, blockType string) []byte {
	if s.err != nil {
		return nil
	}
	data, err := readStoreFile(filepath.Join(s.dir, name), name == keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		missing := damaged(s.dir, name, "is missing")
		missing.Err = fs.ErrNotExist
		s.err = missing
		return nil
	}
	if err != nil {
		s.err = err
		return nil
	}
	der, err := parseBlock(data, blockType)
	if err != nil {
		s.fail(name, "is damaged: %v", err)
	}
	return der
}

func (s *storeReader) certificate(name string) *x509.Certificate {
	der := s.block(name, blockCertificate)
	if s.err != nil {
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.fail(name, "is damaged: it does not hold a certificate (%v)", err)
		return nil
	}
	return cert
}

// root returns the root certificate, of which only the dates are not checked.
func (s *storeReader) root() *x509.Certificate {
	root := s.certificate(rootFile)
	if s.err != nil {
		return nil
	}
	if err := root.CheckSignatureFrom(root); err != nil { // which wants a CA certificate, too
		s.fail(rootFile, "is not a root certificate (%v)", err)
		return nil
	}
	return root
}

func (s *storeReader) privateKey() *ecdsa.PrivateKey {
	der := s.block(keyFile, blockKey)
	if s.err != nil {
		return nil
	}
	// The parser's error is not passed on: nothing about a key is printed.
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		s.fail(keyFile, "is damaged: it does not hold a P-256 key")
		return nil
	}
	return key
}

// readStoreFile reads a regular file of limited size. A private one must belong
// to this user and be closed to all others.
func readStoreFile(path string, private bool) ([]byte, error) {
	// Looked at before it is opened: opening a pipe would wait for a writer, and
	// another user's key could not be opened, for which the remedy is another one.
	info, err := os.Stat(path)
	if err := checkFile(path, info, err, private); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer file.Close()
	info, err = file.Stat() // what was opened may be another file
	if err := checkFile(path, info, err, private); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxStoreFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(data) > maxStoreFile {
		return nil, damaged(filepath.Dir(path), filepath.Base(path), "is too large to be a part of an authority")
	}
	return data, nil
}

// checkFile judges what Stat has said of a file.
func checkFile(path string, info fs.FileInfo, err error, private bool) error {
	switch {
	case err != nil:
		return unreadable(path, err)
	case !info.Mode().IsRegular():
		return damaged(filepath.Dir(path), filepath.Base(path), "is not a regular file")
	case !private:
		return nil
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	return checkMode(path, info, true)
}

// parseBlock returns the contents of the one PEM block that data holds.
func parseBlock(data []byte, blockType string) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("it is empty")
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil || !bytes.HasPrefix(data, []byte("-----BEGIN ")):
		return nil, errors.New("it does not begin with a complete PEM block")
	case block.Type != blockType || len(block.Headers) > 0:
		return nil, fmt.Errorf("it does not hold a plain block of type %s", blockType)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("something follows its PEM block")
	}
	return block.Bytes, nil
}

// check proves that the parts belong together and are in date, and reads the
// constraints.
func (a *Authority) check(dir string) error {
	if !a.key.PublicKey.Equal(a.intermediate.PublicKey) {
		return damaged(dir, keyFile, "does not belong to "+intermediateFile)
	}
	if err := checkDates(dir, rootFile, a.root, a.now()); err != nil {
		return err
	}
	if err := checkDates(dir, intermediateFile, a.intermediate, a.now()); err != nil {
		return err
	}
	if !a.intermediate.IsCA || !a.intermediate.BasicConstraintsValid {
		return damaged(dir, intermediateFile, "may not sign certificates")
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	if _, err := a.intermediate.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return damaged(dir, intermediateFile, fmt.Sprintf("was not signed by %s (%v)", rootFile, err))
	}
	if !bytes.Equal(nameConstraints(a.root), nameConstraints(a.intermediate)) {
		return damaged(dir, intermediateFile, "has other name constraints than "+rootFile)
	}
	limits, err := constraintsOf(a.intermediate)
	if err != nil {
		return damaged(dir, intermediateFile, "is damaged: "+err.Error())
	}
	a.constraints = limits
	return nil
}

// nameConstraints returns the raw extension (RFC 5280 §4.2.1.10), nil if there
// is none.
func nameConstraints(cert *x509.Certificate) []byte {
	for _, extension := range cert.Extensions {
		if extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 30}) {
			return extension.Value
		}
	}
	return nil
}

func checkDates(dir, name string, cert *x509.Certificate, now time.Time) error {
	if now.After(cert.NotAfter) {
		e := damaged(dir, name, "expired on "+cert.NotAfter.Format(time.DateOnly))
		e.Err = ErrExpired
		return e
	}
	if now.Before(cert.NotBefore) {
		return &StoreError{File: filepath.Join(dir, name),
			Reason: fmt.Sprintf("is not valid before %s, and this machine's clock says %s",
				cert.NotBefore.Format(time.DateTime), now.UTC().Format(time.DateTime)),
			Fix: "set the clock and run the command again"}
	}
	return nil
}

// damaged describes a fault that only a new authority can mend.
func damaged(dir, name, reason string) *StoreError {
	return &StoreError{File: filepath.Join(dir, name), Reason: reason,
		Fix: "rtcdev certs new-authority: it makes a new one in its place, which every device must trust again. Or restore the folder " +
			quote(runtime.GOOS, dir) + " from a backup"}
}

func notFolder(path string) *StoreError {
	return &StoreError{File: path, Reason: "is in the way: it is not a folder",
		Fix: "move it aside, or set RTCDEV_HOME to another folder"}
}

// unreadable explains why a file or folder could not be read. What another user
// has closed is that user's, and not to be opened to more people.
func unreadable(path string, err error) error {
	fix := "give your user read access to it"
	if info, statErr := os.Stat(path); statErr == nil && errors.Is(err, fs.ErrPermission) {
		if err := checkOwner(path, info); err != nil {
			return err
		}
		fix = openToOwner(path, info)
	}
	return &StoreError{File: path, Reason: fmt.Sprintf("cannot be read: %v", cause(err)),
		Fix: fix + ", or set RTCDEV_HOME to another folder", Err: err}
}
