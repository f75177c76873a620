package acmecert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// storage is certmagic's in files, with locks of the system's: they end with their process,
// where certmagic's own have to be found stale first.
type storage struct {
	certmagic.FileStorage
	mu   sync.Mutex
	held map[string]func() // by name of the lock
}

var _ certmagic.TryLocker = (*storage)(nil)

// errLocked says that another process, or goroutine, has a lock.
var errLocked = errors.New("locked")

// lockPause is how long it takes at most to see that a lock is free.
const lockPause = 100 * time.Millisecond

// openStorage makes the folder if it is not there, and finds whether it can be used.
func openStorage(folder string) (*storage, error) {
	s := &storage{FileStorage: certmagic.FileStorage{Path: folder}, held: make(map[string]func())}
	err := os.MkdirAll(filepath.Join(folder, "locks"), 0o700)
	if err == nil {
		err = os.Chmod(folder, 0o700) // what is in it is nobody else's, whoever made it
	}
	if err == nil {
		err = s.probe()
	}
	if err != nil {
		return nil, folderProblem(err)
	}
	return s, nil
}

// probe finds whether files can be written.
func (s *storage) probe() error {
	file, err := os.CreateTemp(s.Path, ".probe-")
	if err != nil {
		return fmt.Errorf("trying to write: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, 16<<10)) // more than a certificate and its key
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("trying to write: %w", err)
	}
	return nil
}

// Lock waits for the lock, or until ctx ends.
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		locked, err := s.TryLock(ctx, name)
		if locked || err != nil {
			return err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryLock takes the lock if nobody has it.
func (s *storage) TryLock(_ context.Context, name string) (bool, error) {
	name = certmagic.StorageKeys.Safe(name)
	path := filepath.Join(s.Path, "locks", name+".lock")
	unlock, err := lockFile(path)
	if errors.Is(err, fs.ErrNotExist) { // somebody has tidied up
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			unlock, err = lockFile(path)
		}
	}
	if errors.Is(err, errLocked) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking the folder: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[name] = unlock
	return true, nil
}

// Unlock gives the lock back.
func (s *storage) Unlock(_ context.Context, name string) error {
	name = certmagic.StorageKeys.Safe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock := s.held[name]
	if unlock == nil {
		return fmt.Errorf("unlocking %s: it is not locked", name)
	}
	delete(s.held, name)
	unlock()
	return nil
}

// mend moves aside what cannot be read of the certificate for a name and of the accounts with
// this issuer, so that both are made anew. It returns where to, if it did.
func (s *storage) mend(ctx context.Context, issuerKey, name string) (moved []string, err error) {
	parts := []part{{certmagic.StorageKeys.CertsSitePrefix(issuerKey, name), "issue_cert_" + name,
		func() bool { return s.siteIsSound(issuerKey, name) }}}
	accounts := filepath.Join("acme", certmagic.StorageKeys.Safe(issuerKey), "users")
	entries, err := os.ReadDir(s.Filename(accounts))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for accounts: %w", err)
	}
	for _, e := range entries {
		folder, lock := filepath.Join(accounts, e.Name()), "register_acme_account"
		if e.Name() != "default" { // the account without an e-mail address
			lock += "_" + e.Name()
		}
		parts = append(parts, part{folder, lock, func() bool { return s.accountIsSound(folder) }})
	}
	for _, p := range parts {
		aside, err := s.moveAside(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("moving aside what cannot be read: %w", err)
		}
		if aside != "" {
			moved = append(moved, aside)
		}
	}
	return moved, nil
}

// part is a folder whose files belong together. Who writes them, one after the other, has the
// lock, whose name is certmagic's.
type part struct {
	folder, lock string
	isSound      func() bool
}

// moveAside moves a part that is not sound, unless that is because somebody is writing it now.
func (s *storage) moveAside(ctx context.Context, p part) (to string, err error) {
	if p.isSound() {
		return "", nil
	}
	locked, err := s.TryLock(ctx, p.lock)
	if !locked || err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Unlock(ctx, p.lock)) }()
	if p.isSound() { // by now
		return "", nil
	}
	to = s.Filename(filepath.Join("broken", time.Now().UTC().Format("20060102T150405.000")+"-"+filepath.Base(p.folder)))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	return to, os.Rename(s.Filename(p.folder), to)
}

// hasAccount tells whether there is an account with this issuer.
func (s *storage) hasAccount(issuerKey string) bool {
	entries, err := os.ReadDir(s.Filename(filepath.Join("acme", certmagic.StorageKeys.Safe(issuerKey), "users")))
	return err == nil && len(entries) > 0
}

// siteIsSound tells whether the certificate for a name is whole, or not there at all. One whose
// files cannot be opened is for [folderProblem] to explain.
func (s *storage) siteIsSound(issuerKey, name string) bool {
	cert, err := os.ReadFile(s.Filename(certmagic.StorageKeys.SiteCert(issuerKey, name)))
	if err != nil {
		return true // certmagic takes it for missing, or says what is wrong
	}
	key, keyErr := os.ReadFile(s.Filename(certmagic.StorageKeys.SitePrivateKey(issuerKey, name)))
	about, aboutErr := os.ReadFile(s.Filename(certmagic.StorageKeys.SiteMeta(issuerKey, name)))
	if err := errors.Join(keyErr, aboutErr); err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	var meta certmagic.CertificateResource
	pair, err := tls.X509KeyPair(cert, key)
	return err == nil && isFor(pair.Leaf, name) && isWhole(cert) && json.Unmarshal(about, &meta) == nil && len(meta.SANs) > 0
}

// isFor tells whether a certificate is for a name, which may be a wildcard or an address.
func isFor(leaf *x509.Certificate, name string) bool {
	ip := net.ParseIP(name)
	return slices.Contains(leaf.DNSNames, name) || ip != nil && slices.ContainsFunc(leaf.IPAddresses, ip.Equal)
}

// isWhole tells whether PEM ends with the end of a block.
func isWhole(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return len(bytes.TrimSpace(data)) == 0
		}
		data = rest
	}
}

// accountIsSound tells whether an account's files are.
func (s *storage) accountIsSound(folder string) bool {
	entries, err := os.ReadDir(s.Filename(folder))
	if err != nil {
		return true // no folder, or one that cannot be opened
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(s.Filename(folder), e.Name()))
		if err != nil {
			return true
		}
		switch filepath.Ext(e.Name()) {
		case ".json":
			if !json.Valid(data) {
				return false
			}
		case ".key":
			if _, err := certmagic.PEMDecodePrivateKey(data); err != nil {
				return false
			}
		}
	}
	return len(entries) != 1 // an account without its key is of no use, and the other way round
}
