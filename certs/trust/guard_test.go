//go:build darwin || linux

package trust

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is the number of a user who is neither root nor the one who tests.
const nobody = 65534

// rootOnly skips where files cannot be given away, and makes m root's.
func rootOnly(t *testing.T, m *Machine) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user")
	}
	m.UID = 0
}

// TestJournalOfSudo: the file belongs to the person whose folder it is in.
func TestJournalOfSudo(t *testing.T) {
	m := journalled(t)
	rootOnly(t, &m)
	must(t, os.Chown(m.Journal, nobody, nobody))
	must(t, m.record(t.Context(), m.nssStores()[0], newRoot(t).cert))
	info, err := os.Stat(filepath.Join(m.Journal, journalFile))
	must(t, err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobody {
		t.Errorf("it belongs to the user %d", uid)
	}
}

// TestRootRunsNothingOfOthers: NSS runs the modules of a database that another
// user can change, and so root does not let certutil see it.
func TestRootRunsNothingOfOthers(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	compiler := need(t, "cc", "gcc")
	for name, spoil := range map[string]func(m *Machine, db string) error{
		"all": func(m *Machine, db string) error {
			return exec.Command("chown", "-R", "65534", m.Home).Run()
		},
		"the home":             func(m *Machine, _ string) error { return os.Chown(m.Home, nobody, nobody) },
		"a file in it":         func(_ *Machine, db string) error { return os.Chown(filepath.Join(db, "pkcs11.txt"), nobody, nobody) },
		"written by the group": func(_ *Machine, db string) error { return os.Chmod(db, 0o770) },
		"written by all":       func(_ *Machine, db string) error { return os.Chmod(filepath.Dir(db), 0o777) },
		"sticky, but itself":   func(_ *Machine, db string) error { return os.Chmod(db, 0o777|os.ModeSticky) },
		"a link of theirs": func(m *Machine, db string) error {
			return errors.Join(os.Rename(db, db+".real"), os.Symlink(db+".real", db), os.Lchown(db, nobody, nobody))
		},
		"a link to theirs": func(m *Machine, db string) error {
			return errors.Join(os.Rename(db, db+".real"), os.Symlink("x/../nssdb.real", db), os.Mkdir(filepath.Join(filepath.Dir(db), "x"), 0o700), os.Chown(db+".real", nobody, nobody))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			rootOnly(t, &m)
			db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
			ran := filepath.Join(t.TempDir(), "ran")
			module := filepath.Join(t.TempDir(), "module")
			must(t, os.WriteFile(module+".c", []byte(`#include <stdio.h>
__attribute__((constructor)) static void run(void) { FILE *f = fopen("`+ran+`", "w"); if (f) fclose(f); }`), 0o600))
			if out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", module+".so", module+".c").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			modules, err := os.ReadFile(filepath.Join(db, "pkcs11.txt"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(db, "pkcs11.txt"), append(modules, "library="+module+".so\nname=theirs\n\n"...), 0o600))
			must(t, spoil(&m, db))

			fix := withoutSudo
			if strings.Contains(name, "written by") || strings.HasPrefix(name, "sticky") { // root's own, and open
				fix = "nobody else has changed it: sudo chmod go-w "
			}
			st := byName(t, m.Status(ctx, root), oldName)
			if st.State != StateUnavailable || !strings.Contains(st.Fix, fix) || !strings.Contains(st.Reason, "belongs to another user") {
				t.Errorf("Status: %+v", st)
			}
			for what, do := range map[string]func(...string) []Result{
				"Install": func(kinds ...string) []Result { return m.Install(ctx, root, kinds...) },
				"Remove":  func(kinds ...string) []Result { return m.Remove(ctx, root, kinds...) },
			} {
				if r := byName(t, do(KindNSS), oldName); !errors.Is(r.Err, ErrNotOwner) || !strings.Contains(r.Fix, fix) || r.Changed {
					t.Errorf("%s of what was asked for: %+v", what, r)
				}
				if r := byName(t, do(), oldName); r.Err != nil || !r.Skipped || r.State != StateUnavailable {
					t.Errorf("%s of a default run: %+v", what, r)
				}
			}
			if _, err := m.Roots(ctx, KindNSS); !errors.Is(err, ErrNotOwner) {
				t.Errorf("Roots: %v", err)
			}
			if exists(ran) {
				t.Error("root ran the module")
			}
			t.Logf("%s\n  next: %s", st.Reason, st.Fix)
		})
	}
}

func TestNSSNotInAnotherUsersHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a folder of another user")
	}
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	must(t, os.Chown(m.Home, 65534, 65534))
	r := byName(t, m.Install(t.Context(), root, KindNSS), oldName)
	if !errors.Is(r.Err, ErrNotOwner) || exists(filepath.Join(m.Home, ".pki")) {
		t.Errorf("sudo with the person's HOME must not leave files of root there: %+v", r)
	}
}
