package acmecert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/certmagic"
)

// copies is where the certificate for a name, of one authority, goes besides the folder: a file of
// the folder's, so that every renewal from it, whoever does it, finds them, and no try with another
// authority takes their place.
type copies struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

func (m *Manager) copiesFile(name string) string {
	return m.besides("copies", name)
}

// keepCopies writes down where copies are to go.
func (m *Manager) keepCopies() error {
	if m.cfg.CertFile == "" {
		return nil
	}
	certFile, err := filepath.Abs(m.cfg.CertFile)
	if err != nil {
		return copyProblem(err)
	}
	keyFile, err := filepath.Abs(m.cfg.KeyFile)
	if err != nil {
		return copyProblem(err)
	}
	for _, path := range []string{certFile, keyFile} {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return copyProblem(fmt.Errorf("%s is not a file", path))
		}
		if err := tryFolder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(copies{certFile, keyFile})
	if err != nil {
		return fmt.Errorf("encoding where copies go: %w", err)
	}
	if err := writeFile(m.copiesFile(m.cfg.Names[0]), data, 0o600); err != nil {
		return folderProblem(err)
	}
	return nil
}

// tryFolder finds whether a copy can be written to a folder, before there is a certificate.
func tryFolder(folder string) error {
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return &Problem{Kind: BadFolder, What: "there is no folder " + folder + " for the copies", Fix: "make it, or name files in another one"}
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", folder)
	}
	if err != nil {
		return copyProblem(err)
	}
	probe, err := os.CreateTemp(folder, ".probe-")
	if err != nil {
		return copyProblem(err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// copyOut writes the copies for a name, unless they are what they should be.
func (m *Manager) copyOut(name string) *Problem {
	data, err := os.ReadFile(m.copiesFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var to copies
	if err == nil {
		err = json.Unmarshal(data, &to)
	}
	if err != nil {
		return copyProblem(err)
	}
	certFile, keyFile := m.files(name)
	// The key first: a program that starts in between finds a pair that does not fit, says so, and
	// is right the next time; never a key that is lost.
	if err := copyFile(keyFile, to.KeyFile, 0o600); err != nil {
		return copyProblem(err)
	}
	if err := copyFile(certFile, to.CertFile, 0o644); err != nil {
		return copyProblem(err)
	}
	return nil
}

// besides is the file of this kind that the folder has for a name, of this authority.
func (m *Manager) besides(kind, name string) string {
	return filepath.Join(m.cfg.Folder, kind, certmagic.StorageKeys.Safe(m.cfg.issuerKey()), certmagic.StorageKeys.Safe(name)+".json")
}

func copyProblem(err error) *Problem {
	return &Problem{Kind: BadFolder, Err: err, What: "the copy of the certificate cannot be written",
		Fix: "give write access there, or name other files with --cert-file and --key-file of rtcdev certs acme"}
}

// copyFile copies a file whole or not at all.
func copyFile(from, to string, mode fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if there, err := os.ReadFile(to); err == nil && bytes.Equal(there, data) {
		return nil
	}
	return writeFile(to, data, mode)
}

// writeFile puts a file with this content in the place of what is there. Nobody ever reads a part
// of it, and a key is never open to others.
func writeFile(path string, data []byte, mode fs.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
