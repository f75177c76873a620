package trust

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

func (s policyStore) Install(ctx context.Context, root *x509.Certificate) error {
	if s.m.UID != 0 {
		return fault(s.m.RootCommand+" trust --stores policy", "changing %s: %w", s.file, ErrNeedsRoot)
	}
	if _, _, err := s.read(); err != nil {
		return err
	}
	if err := s.conflict(); err != nil {
		return err
	}
	if err := makeFolders(filepath.Dir(s.file)); err != nil {
		return s.unwritten(err)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	raw, members, err := s.read()
	if err != nil {
		return err
	}
	member := s.member(root)
	if s.beside { // before it is listed
		if err := replaceFile(member, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o644); err != nil {
			return s.unwritten(err)
		}
	}
	if slices.Contains(members, member) {
		return nil
	}
	changed, err := jsonAdd(raw, s.keys, member)
	if err == nil {
		err = s.write(changed)
	}
	if err != nil && s.beside {
		_ = os.Remove(member) // which is not listed; the first error is the one to report
	}
	return s.unwritten(err)
}

// Remove takes out the member that stands for root, with its file.
func (s policyStore) Remove(ctx context.Context, root *x509.Certificate) error {
	_, members, err := s.read()
	if err != nil {
		return err
	}
	member := s.member(root)
	there := slices.Contains(members, member) || s.beside && exists(member)
	switch {
	case there && s.m.UID != 0:
		return fault(s.m.RootCommand+" untrust --stores policy", "changing %s: %w", s.file, ErrNeedsRoot)
	case s.m.UID != 0 || !isDir(filepath.Dir(s.file)):
		return s.alsoListed(members, root)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	raw, members, err := s.read()
	if err != nil {
		return err
	}
	if slices.Contains(members, member) {
		raw, err = jsonRemove(raw, s.keys, member)
		switch {
		case err != nil:
		case !s.beside && jsonEmpty(raw, s.keys[0]): // the file is ours
			err = os.Remove(s.file)
		default:
			err = s.write(raw)
		}
	}
	if err == nil && s.beside && exists(member) {
		err = os.Remove(member)
	}
	if err != nil {
		return s.unwritten(err)
	}
	return s.alsoListed(members, root)
}

// alsoListed is the fault of somebody who listed the same root another way.
func (s policyStore) alsoListed(members []string, root *x509.Certificate) error {
	for _, member := range members {
		if cert := s.certificate(member); member != s.member(root) && cert != nil && cert.Equal(root) {
			return fault(fmt.Sprintf("take %q out of %s", member, s.file),
				"removing the root from %s: %w: somebody also listed it as %.100s", s.file, ErrNotVerified, member)
		}
	}
	return nil
}

func (s policyStore) missing() string { return firstMissing(s.file) }

// unmake deletes the file of policies that Install made, once no policy is in it.
func (s policyStore) unmake(ctx context.Context, top string) error {
	dir := filepath.Dir(s.file)
	if !isDir(dir) {
		removeEmptied(dir, top)
		return nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	raw, _, err := s.read()
	if err != nil {
		return err
	}
	if raw != nil && jsonEmpty(raw, s.keys[0]) {
		if err := os.Remove(s.file); err != nil {
			return s.unwritten(err)
		}
	}
	removeEmptied(dir, top)
	return nil
}

// policyCopies begins the names of files that are being written.
const policyCopies = ".rtcdev-"

// lock keeps other processes of ours out, and deletes what one that was killed
// left half-written: Chromium would read it.
func (s policyStore) lock(ctx context.Context) (unlock func(), err error) {
	dir := filepath.Dir(s.file)
	if unlock, err = s.m.lockDir(ctx, dir); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(dir, policyCopies+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		unlock()
		return nil, s.unwritten(err)
	}
	return unlock, nil
}

// write replaces the file of policies, with its mode and owner if it is there.
func (s policyStore) write(data []byte) error {
	real, err := filepath.EvalSymlinks(s.file)
	if err != nil {
		return replaceFile(s.file, data, 0o644)
	}
	written, err := writeBeside(real, policyCopies+"*", data)
	if err != nil {
		return err
	}
	if err := moveInto(written, real); err != nil {
		_ = os.Remove(written)
		return err
	}
	return nil
}

// unwritten makes a fault of what kept a file from being written.
func (s policyStore) unwritten(err error) error {
	if err == nil {
		return nil
	}
	if isReadOnly(err) {
		err = fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return fault("there must be room and write access in "+quote(s.m.OS, filepath.Dir(s.file)), "changing %s: %w", s.file, err)
}

// makeFolders makes a folder, and those above it, for everybody to read whatever
// our umask is: a browser runs as another user.
func makeFolders(dir string) error {
	if isDir(dir) {
		return nil
	}
	if err := makeFolders(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if isDir(dir) { // another process was quicker
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}
