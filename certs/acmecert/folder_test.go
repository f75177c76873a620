package acmecert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtcdev/scripts/rehearsal"
)

// A folder that cannot be used is found before anything is sent.
func TestFolderCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folders := []string{file, filepath.Join(file, "below")}
	if os.Geteuid() != 0 {
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, filepath.Join(locked, "acme"))
	}
	for _, folder := range folders {
		_, err := New(Config{Names: []string{"call.example.com"}, Folder: folder})
		var p *Problem
		if !errors.As(err, &p) || p.Kind != BadFolder || p.Fix == "" {
			t.Errorf("got %v", err)
		}
	}
}

// One that cannot be written to any more while the manager runs is told, and nothing is ordered.
func TestFolderGoesAway(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.Folder = filepath.Join(r.cfg.Folder, "acme")
	m := r.manager()
	if err := os.RemoveAll(r.cfg.Folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.cfg.Folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := r.problemOf(m); p.Kind != BadFolder {
		t.Errorf("got %+v", p)
	}
	if r.ca.Orders() != 0 {
		t.Error("there was an order")
	}
}

// What cannot be read any more is moved aside, whatever it is, and made anew.
func TestFolderIsCorrupt(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"garbage":   func(b []byte) []byte { return []byte(strings.Repeat("\x00garbage", len(b))) },
		"gone":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rehearsal.Options{}, "call.example.com")
			if err := r.manager().Obtain(t.Context()); err != nil {
				t.Fatal(err)
			}
			e := r.hears(Obtained)
			base := strings.TrimSuffix(e.CertFile, ".crt")
			account := filepath.Join(r.cfg.Folder, "acme", "*", "users", "*", "kim")
			for i, file := range []string{base + ".crt", base + ".key", base + ".json", account + ".json", account + ".key"} {
				r.spoil(file, spoil)
				if strings.HasPrefix(file, account) {
					r.spoil(base+".crt", nil) // else there is nothing to order, and no need for an account
				}
				if states, err := ReadStates(r.cfg.Folder); err != nil || len(states) > 1 {
					t.Errorf("%s: %+v, %v", filepath.Base(file), states, err)
				}
				m := r.manager()
				if err := m.Obtain(t.Context()); err != nil {
					t.Fatalf("%s: %v", filepath.Base(file), err)
				}
				if r.ca.Orders() != i+2 {
					t.Errorf("%s: %d orders, want %d", filepath.Base(file), r.ca.Orders(), i+2)
				}
				if s := m.States()[0]; s.NotAfter.IsZero() || s.Problem != nil {
					t.Errorf("%s: %+v", filepath.Base(file), s)
				}
			}
		})
	}
}

// spoil changes what the one file has that matches, or removes it.
func (r *rig) spoil(pattern string, how func([]byte) []byte) {
	r.t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		r.t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	was, err := os.ReadFile(found[0])
	if err == nil && how == nil {
		err = os.Remove(found[0])
	} else if err == nil {
		err = os.WriteFile(found[0], how(was), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestNoFolder(t *testing.T) {
	if states, err := ReadStates(filepath.Join(t.TempDir(), "[none]*")); states != nil || err != nil {
		t.Errorf("got %v, %v", states, err)
	}
}

// What another process is writing, file by file, is not broken: only what is left so is.
func TestFolderIsBeingWritten(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(r.hears(Obtained).CertFile, ".crt")
	r.spoil(base+".json", nil)
	r.spoil(filepath.Join(r.cfg.Folder, "acme", "*", "users", "*", "kim.key"), nil)
	m, writer := r.manager(), r.manager().storage
	locks := []string{"issue_cert_call.example.com", "register_acme_account_kim@company.kr"}
	for _, lock := range locks {
		if err := writer.Lock(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
	}
	key := m.challenges.Issuers[0].IssuerKey()
	if moved, err := m.storage.mend(t.Context(), key, "call.example.com"); len(moved) != 0 || err != nil {
		t.Errorf("moved aside: %q, %v", moved, err)
	}
	for _, lock := range locks {
		if err := writer.Unlock(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
	}
	if moved, err := m.storage.mend(t.Context(), key, "call.example.com"); len(moved) != 2 || err != nil {
		t.Errorf("not moved aside: %q, %v", moved, err)
	}
}
