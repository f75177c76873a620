package trust

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	oldName     = "nss ~/.pki/nssdb"
	currentName = "nss ~/.local/share/pki/nssdb"
)

func TestNSSWhichDatabases(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	for _, test := range []struct {
		name         string
		there        []string
		old, current State // after Install
	}{
		{"a fresh account", nil, StateTrusted, StateUnused},
		{"only ~/.pki", []string{".pki/nssdb"}, StateTrusted, StateUnused},
		{"only the data home", []string{".local/share/pki/nssdb"}, StateUnused, StateTrusted},
		{"both", []string{".pki/nssdb", ".local/share/pki/nssdb"}, StateTrusted, StateTrusted},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			for _, dir := range test.there {
				makeDB(t, filepath.Join(m.Home, dir))
			}
			if before := m.Status(ctx, root); Trusted(before) {
				t.Fatalf("trusted before anything was done: %+v", before)
			}
			for _, changed := range []bool{true, false} { // the second time is idempotent
				results := m.Install(ctx, root, KindNSS)
				for _, r := range results {
					want := map[string]State{oldName: test.old, currentName: test.current}[r.Store]
					if r.Err != nil || r.State != want || r.Changed != (changed && want == StateTrusted) || r.Skipped != (want == StateUnused) {
						t.Errorf("want %s, changed %t: %+v", want, changed, r)
					}
					if (r.Changed && r.Browser != "") != (r.Note != "") {
						t.Errorf("a note to restart Chromium belongs to a changed store that Chromium reads: %+v", r)
					}
				}
				checkReadBack(t, results, m.Status(ctx, root, KindNSS))
				if old, current := byName(t, results, oldName), byName(t, results, currentName); old.Browser == current.Browser {
					t.Errorf("Chromium reads exactly one of them: %+v", results)
				}
				if !Trusted(results) || !Trusted(m.Status(ctx, root)) {
					t.Errorf("not trusted after Install: %+v", results)
				}
			}
			for _, changed := range []bool{true, false} {
				for _, r := range m.Remove(ctx, root, KindNSS) {
					if r.Err != nil || r.State == StateTrusted || r.Changed != (changed && !r.Skipped) || (r.Changed && r.Browser != "") != (r.Note != "") {
						t.Errorf("Remove, changed %t: %+v", changed, r)
					}
				}
			}
			for _, dir := range append(test.there, ".pki/nssdb") {
				path := filepath.Join(m.Home, dir)
				if isDir(path) && strings.Contains(certutil(t, path, "-L"), nickPrefix) {
					t.Errorf("%s still lists the root", dir)
				}
			}
		})
	}
}

func TestNSSCreatedDatabaseIsPrivate(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	byName(t, m.Install(t.Context(), root, KindNSS), oldName)
	for path, want := range map[string]os.FileMode{".pki": 0o700, ".pki/nssdb": 0o700, ".pki/nssdb/key4.db": 0o600} {
		info, err := os.Stat(filepath.Join(m.Home, path))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
	}
}

func TestNSSEmptyFolderIsFilled(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	must(t, os.MkdirAll(filepath.Join(m.Home, ".pki/nssdb"), 0o700))
	makeDB(t, filepath.Join(m.DataHome, "pki/nssdb")) // Chromium ignores it: the other folder is there
	if got := m.Install(t.Context(), root, KindNSS); !Trusted(got) || byName(t, got, oldName).State != StateTrusted {
		t.Errorf("%+v", got)
	}
}

func TestNSSDataHome(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	t.Setenv("HOME", t.TempDir())
	data := filepath.Join(t.TempDir(), "데이터 폴더")
	t.Setenv("XDG_DATA_HOME", data)
	m, err := ThisMachine()
	must(t, err)
	makeDB(t, filepath.Join(data, "pki", "nssdb"))
	got := m.Install(t.Context(), newRoot(t).cert, KindNSS)
	if r := byName(t, got, "nss "+filepath.Join(data, "pki", "nssdb")); r.State != StateTrusted || r.Browser == "" || !Trusted(got) {
		t.Errorf("%+v", got)
	}
}

func TestNSSTwoRootsAndTheNeighbours(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, one, two, ctx := testMachine(t), newRoot(t), newRoot(t), t.Context()
	db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	certutil(t, db, "-A", "-n", "somebody else", "-t", "CT,C,C", "-i", pemFile(t, newRoot(t)))
	before := certutil(t, db, "-L")

	m.Install(ctx, one.cert, KindNSS)
	if Trusted(m.Status(ctx, two.cert)) {
		t.Error("the second root passes for trusted because the first, of the same subject, is")
	}
	m.Install(ctx, two.cert, KindNSS)
	if !Trusted(m.Status(ctx, one.cert)) || !Trusted(m.Status(ctx, two.cert)) {
		t.Error("both roots should be trusted")
	}
	m.Remove(ctx, one.cert, KindNSS)
	if Trusted(m.Status(ctx, one.cert)) || !Trusted(m.Status(ctx, two.cert)) {
		t.Error("removing one root must remove it, and only it")
	}
	m.Remove(ctx, two.cert, KindNSS)
	if after := certutil(t, db, "-L"); after != before {
		t.Errorf("the listing was\n%s\nand is\n%s", before, after)
	}
}

func TestNSSStatusIsTheTruth(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, ctx := testMachine(t), newRoot(t), t.Context()
	db := filepath.Join(m.Home, ".pki/nssdb")
	nick := nickname(root.cert)
	check := func(want State, after string) {
		t.Helper()
		if r := byName(t, m.Status(ctx, root.cert), oldName); r.State != want || (want != StateTrusted && r.Reason == "") {
			t.Errorf("after %s: want %s, got %+v", after, want, r)
		}
	}
	m.Install(ctx, root.cert, KindNSS)
	check(StateTrusted, "Install")

	certutil(t, db, "-M", "-n", nick, "-t", ",C,C")
	check(StateAbsent, "the flags were taken away")
	if r := byName(t, m.Install(ctx, root.cert, KindNSS), oldName); r.Err != nil || !r.Changed {
		t.Errorf("Install should set the flags again: %+v", r)
	}
	check(StateTrusted, "Install set the flags again")

	certutil(t, db, "-M", "-n", nick, "-t", ",,")
	if r := byName(t, m.Remove(ctx, root.cert, KindNSS), oldName); r.Err != nil || !r.Changed {
		t.Errorf("Remove should delete an entry without trust too: %+v", r)
	}
	if strings.Contains(certutil(t, db, "-L"), nick) {
		t.Error("the entry without trust is still there")
	}

	m.Install(ctx, root.cert, KindNSS)
	certutil(t, db, "-D", "-n", nick)
	check(StateAbsent, "somebody deleted the entry")

	certutil(t, db, "-A", "-n", "added by hand", "-t", "C,,", "-i", pemFile(t, root))
	check(StateTrusted, "somebody imported it under another name")
	if r := byName(t, m.Remove(ctx, root.cert, KindNSS), oldName); r.Err != nil || r.State != StateAbsent {
		t.Errorf("Remove of one imported by hand: %+v", r)
	}
}

func TestNSSNameTaken(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, ctx := testMachine(t), newRoot(t), t.Context()
	db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	certutil(t, db, "-A", "-n", nickname(root.cert), "-t", "C,,", "-i", pemFile(t, newRoot(t)))
	r := byName(t, m.Install(ctx, root.cert, KindNSS), oldName)
	if !errors.Is(r.Err, ErrNameTaken) || r.State == StateTrusted || !strings.Contains(r.Fix, "certutil -D") {
		t.Errorf("%+v", r)
	}
	if r := byName(t, m.Remove(ctx, root.cert, KindNSS), oldName); r.Err != nil || r.Changed {
		t.Errorf("Remove must leave the other certificate: %+v", r)
	}
}

func TestNSSFaults(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	for _, test := range nssFaults() {
		t.Run(test.name, test.run)
	}
}

// nssFault is one way a database cannot be used.
type nssFault struct {
	name  string
	spoil func(t *testing.T, m *Machine, db string)
	want  error
	state State // by Status, before and after
}

func nssFaults() []nssFault {
	return []nssFault{
		{"damaged", func(t *testing.T, _ *Machine, db string) {
			must(t, os.WriteFile(filepath.Join(db, "cert9.db"), []byte(strings.Repeat("not a database ", 999)), 0o600))
		}, ErrDatabase, StateUnknown},
		{"empty file", func(t *testing.T, _ *Machine, db string) {
			must(t, os.Truncate(filepath.Join(db, "cert9.db"), 0))
		}, ErrDatabase, StateUnknown},
		{"cut short", func(t *testing.T, _ *Machine, db string) {
			must(t, os.Truncate(filepath.Join(db, "cert9.db"), 5000))
		}, ErrDatabase, StateUnknown},
		{"master password", func(t *testing.T, _ *Machine, db string) {
			must(t, os.RemoveAll(db))
			file := filepath.Join(t.TempDir(), "password")
			must(t, os.WriteFile(file, []byte("a-test-password\n"), 0o600))
			makeDB(t, db, "-f", file)
		}, ErrPassword, StateUnavailable},
		{"read-only", func(t *testing.T, m *Machine, db string) {
			unprivileged(t, m)
			must(t, os.Chmod(filepath.Join(db, "cert9.db"), 0o444))
			must(t, os.Chmod(filepath.Join(db, "pkcs11.txt"), 0o444))
			must(t, os.Chmod(filepath.Join(db, "key4.db"), 0o444))
			must(t, os.Chmod(db, 0o555))
			t.Cleanup(func() { os.Chmod(db, 0o700) })
		}, ErrReadOnly, StateAbsent},
		{"certutil missing", func(_ *testing.T, m *Machine, _ string) {
			m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
		}, ErrToolMissing, StateUnavailable},
		{"certutil hangs", func(t *testing.T, m *Machine, _ string) {
			hung := script(t, "exec sleep 600")
			m.LookPath = func(string) (string, error) { return hung, nil }
			m.Timeout = 200 * time.Millisecond
		}, ErrTimeout, StateUnknown},
	}
}

// run spoils one of two databases.
func (f nssFault) run(t *testing.T) {
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	other := makeDB(t, filepath.Join(m.DataHome, "pki/nssdb"))
	good := m
	f.spoil(t, &m, db)
	good.UID = m.UID

	if r := byName(t, m.Status(ctx, root), oldName); r.State != f.state || r.Reason == "" {
		t.Errorf("Status: want %s: %+v", f.state, r)
	}
	start := time.Now()
	results := m.Install(ctx, root, KindNSS)
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("Install took %s", took)
	}
	r := byName(t, results, oldName)
	if !errors.Is(r.Err, f.want) || r.State != f.state || r.Changed || r.Fix == "" {
		t.Errorf("Install: want %v: %+v", f.want, r)
	}
	if Trusted(results) {
		t.Error("a failure looks like success")
	}
	t.Logf("%v\n  next: %s", r.Err, r.Fix)
	if f.want == ErrDatabase || f.want == ErrPassword {
		if byName(t, results, currentName).State != StateTrusted {
			t.Errorf("one store's failure stopped the other: %+v", results)
		}
	}
	if f.want == ErrPassword && strings.Contains(certutil(t, db, "-L"), nickPrefix) {
		t.Error("a half-made entry was left behind")
	}
	good.Remove(ctx, root, KindNSS)
	if strings.Contains(certutil(t, other, "-L"), nickPrefix) {
		t.Error("the good store was not cleaned")
	}
}

func TestNSSRemoveTellsTheTruth(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	m.Install(ctx, root, KindNSS)
	blind := m
	blind.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	if r := byName(t, blind.Remove(ctx, root, KindNSS), oldName); !errors.Is(r.Err, ErrToolMissing) || r.Fix == "" {
		t.Errorf("without certutil: %+v", r)
	}
	lying := m
	lying.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if args[0] == "-D" {
			return nil, nil, nil // says it deleted
		}
		return m.Run(ctx, program, args...)
	}
	if r := byName(t, lying.Remove(ctx, root, KindNSS), oldName); !errors.Is(r.Err, ErrNotVerified) || r.State != StateTrusted {
		t.Errorf("a tool that does nothing and says it did: %+v", r)
	}
}

func TestNSSInstallTellsTheTruth(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	real := m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if !slices.Contains(args, "-f") { // an empty password file
			t.Errorf("certutil %v would ask for a password on the terminal", args)
		}
		if args[0] == "-A" {
			return nil, nil, nil
		}
		return real(ctx, program, args...)
	}
	results := m.Install(t.Context(), root, KindNSS)
	if r := byName(t, results, oldName); !errors.Is(r.Err, ErrNotVerified) || r.State != StateAbsent || Trusted(results) {
		t.Errorf("%+v", r)
	}
}

func TestNSSCanceled(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	ctx, cancel := context.WithCancel(t.Context())
	m.Run = func(ctx context.Context, _ string, _ ...string) ([]byte, []byte, error) {
		cancel()
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	if r := byName(t, m.Install(ctx, root, KindNSS), oldName); !errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, ErrTimeout) {
		t.Errorf("%+v", r)
	}
}

func TestNSSHalfMadeDatabaseIsTakenAway(t *testing.T) {
	m, root := testMachine(t), newRoot(t).cert
	db := filepath.Join(m.Home, ".pki/nssdb")
	failing := script(t, `touch "`+db+`/cert9.db"; echo no space left >&2; exit 1`)
	m.LookPath = func(string) (string, error) { return failing, nil }
	r := byName(t, m.Install(t.Context(), root, KindNSS), oldName)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "no space left") {
		t.Errorf("%+v", r)
	}
	if exists(filepath.Join(db, "cert9.db")) {
		t.Error("a half-made cert9.db was left: the next run would find it damaged")
	}
}

// unprivileged makes m's commands run as nobody when the test runs as root,
// whom no file mode stops.
func unprivileged(t *testing.T, m *Machine) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	setpriv := need(t, "setpriv", "util-linux")
	for dir := m.Home; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	must(t, filepath.WalkDir(m.Home, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, 65534, 65534))
	}))
	m.UID = 65534
	run := m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if file := args[len(args)-1]; filepath.Ext(file) == ".pem" {
			must(t, os.Chmod(file, 0o644)) // nobody does not own what the package wrote as root
		}
		return run(ctx, setpriv, append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", program}, args...)...)
	}
}

// TestNSSRemoveWithoutCertutil: what is certainly not there needs no removing, and
// what may be there is not passed over.
func TestNSSRemoveWithoutCertutil(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, there, absent, ctx := testMachine(t), newRoot(t).cert, newRoot(t).cert, t.Context()
	makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	m.Install(ctx, there, KindNSS)
	find := m.LookPath
	m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	if r := byName(t, m.Remove(ctx, absent, KindNSS), oldName); r.Err != nil || r.State != StateAbsent {
		t.Errorf("a root that is not in it: %+v", r)
	}
	if r := byName(t, m.Remove(ctx, there, KindNSS), oldName); !errors.Is(r.Err, ErrToolMissing) || r.Fix == "" {
		t.Errorf("a root that is in it: %+v", r)
	}
	m.LookPath = find
	if r := byName(t, m.Remove(ctx, there, KindNSS), oldName); r.Err != nil || !r.Changed {
		t.Errorf("with certutil: %+v", r)
	}
}
