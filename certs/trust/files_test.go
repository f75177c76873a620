//go:build darwin || linux

package trust

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNeverWaitsForAPipe: wherever a pipe is, nothing waits for its other end.
func TestNeverWaitsForAPipe(t *testing.T) {
	const profile = ".mozilla/firefox/kim.default"
	for _, place := range []string{".pki/nssdb/cert9.db", ".pki/nssdb/key4.db", ".pki/nssdb/pkcs11.txt", ".pki/nssdb", profile + "/cert9.db",
		profile + "/.parentlock", profile, ".mozilla/firefox/profiles.ini", ".mozilla/firefox", "journal/" + journalFile, "journal"} {
		t.Run(place, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			m.Journal, m.Timeout = filepath.Join(m.Home, "journal"), 2*time.Second
			must(t, os.Mkdir(m.Journal, 0o700))
			makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
			makeDB(t, filepath.Join(m.Home, profile))
			must(t, os.WriteFile(filepath.Join(m.Home, profile, "../profiles.ini"), []byte("[Profile0]\nIsRelative=1\nPath=kim.default\n"), 0o600))
			pipe := filepath.Join(m.Home, place)
			must(t, os.RemoveAll(pipe))
			must(t, syscall.Mkfifo(pipe, 0o600))
			done := make(chan struct{})
			go func() {
				defer close(done)
				m.Status(ctx, root, KindNSS, KindFirefox)
				m.Install(ctx, root, KindNSS, KindFirefox)
				m.Remove(ctx, root, KindNSS, KindFirefox)
				_, _ = m.Roots(ctx, KindNSS, KindFirefox)
			}()
			limit := time.NewTimer(30 * time.Second)
			defer limit.Stop()
			select {
			case <-done:
			case <-limit.C:
				t.Fatal("it waits for somebody who writes into the pipe")
			}
		})
	}
}

// TestFileIsWrittenIntoTheFolderThatWasOpened: a folder that is led elsewhere
// meanwhile gets nothing.
func TestFileIsWrittenIntoTheFolderThatWasOpened(t *testing.T) {
	home := t.TempDir()
	dir, victim := filepath.Join(home, "dir"), filepath.Join(home, "victim")
	must(t, errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(victim, 0o700)))
	must(t, writeWhole(filepath.Join(dir, "file"), []byte("x"), 0o600, func(folder *os.Root, from, to string) error {
		must(t, errors.Join(os.Rename(dir, dir+".moved"), os.Symlink(victim, dir)))
		return folder.Rename(from, to)
	}))
	if now := tree(t, home); !slices.Equal(now, []string{"dir", "dir.moved", "dir.moved/file", "victim"}) {
		t.Errorf("%q", now)
	}
}

func TestCreateFileLeavesWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, createFile(path, []byte("first"), 0o600))
	if err := createFile(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	content, err := os.ReadFile(path)
	must(t, err)
	if left := tree(t, filepath.Dir(path)); string(content) != "first" || len(left) != 1 {
		t.Errorf("%q, %q", content, left)
	}
}

// TestKilledWhileAFileIsWritten: what is left is no use of the profile by Firefox.
func TestKilledWhileAFileIsWritten(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	pretendFirefox(t, &m, "153.7.0")
	checkAll(t, m.Install(ctx, root, KindFirefox), StateTrusted)
	base := filepath.Join(m.Home, ".config/mozilla/firefox")
	for _, dir := range []string{base, filepath.Join(base, firstProfileName), m.Journal} {
		must(t, os.WriteFile(filepath.Join(dir, temporaryPrefix+"x"), nil, 0o600))
	}
	results := m.Remove(ctx, root, KindFirefox)
	checkAll(t, results, StateAbsent)
	if now := append(tree(t, m.Home), tree(t, m.Journal)...); now != nil || !results[0].Unmade {
		t.Errorf("left: %q, %+v", now, results[0])
	}
}

// TestUnmade: a store that stays is not said to be gone.
func TestUnmade(t *testing.T) {
	m, one, two, ctx := journalled(t), newRoot(t).cert, newRoot(t).cert, t.Context()
	checkAll(t, m.Install(ctx, one, KindNSS), StateTrusted)
	checkAll(t, m.Install(ctx, two, KindNSS), StateTrusted)
	if r := m.Remove(ctx, one, KindNSS)[0]; r.Err != nil || r.Unmade {
		t.Errorf("another root is in it: %+v", r)
	}
	if r := m.Remove(ctx, two, KindNSS)[0]; r.Err != nil || !r.Unmade {
		t.Errorf("the last root: %+v", r)
	}
	if r := m.Remove(ctx, two, KindNSS)[0]; r.Err != nil || r.Unmade {
		t.Errorf("again: %+v", r)
	}
}

// TestFixesCanBePasted: a shell takes each whole command.
func TestFixesCanBePasted(t *testing.T) {
	m, ctx := journalled(t), t.Context()
	m.Journal = filepath.Join(t.TempDir(), "kim's folder (old)")
	must(t, os.Mkdir(m.Journal, 0o700))
	path := filepath.Join(m.Journal, journalFile)
	must(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err := m.readJournal()
	var f *Fault
	if !errors.As(err, &f) || !strings.Contains(f.Error(), "untrust finds the roots without it") {
		t.Fatalf("%v", err)
	}
	if out, err := exec.CommandContext(ctx, "sh", "-c", f.Fix).CombinedOutput(); err != nil || exists(path) {
		t.Errorf("%s: %v: %s", f.Fix, err, out)
	}
	if fix := (Machine{OS: "windows"}).moveAway(`C:\a b`); fix != `move "C:\a b" "C:\a b.damaged"` {
		t.Error(fix)
	}
	m.UID, m.RootCommand = 0, "rtcdev certs"
	m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	must(t, os.Mkdir(filepath.Join(m.Root, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(m.Root, "etc/os-release"), []byte("ID=debian\n"), 0o644))
	_, err = nssStore{m: m}.certutil()
	if !errors.As(err, &f) || f.Fix != "sudo apt install libnss3-tools" || !strings.Contains(f.Error(), "as root without it: rtcdev certs trust --stores policy") {
		t.Errorf("%v: %s", err, f.Fix)
	}
}

// TestJournalHoldsNoControlCharacters: what it says goes to a terminal.
func TestJournalHoldsNoControlCharacters(t *testing.T) {
	m, root := journalled(t), newRoot(t).cert
	for _, bad := range []changed{
		{Store: "nss \x1b]0;x\a", Kind: KindNSS, Path: "/a"}, {Store: "nss", Kind: KindNSS, Path: "/a\nb"},
		{Store: "nss", Kind: KindNSS, Path: "/a", Made: "/a/\u009b"}, {Store: "nss \u202e", Kind: KindNSS, Path: "/a"},
	} {
		recorded(t, m, root, bad)
		if _, err := m.readJournal(); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	recorded(t, m, root, changed{Store: "nss ~/데이터 폴더", Kind: KindNSS, Path: "/home/kim/데이터 폴더"})
	if _, err := m.readJournal(); err != nil {
		t.Error(err)
	}
	s := nssStore{m: m, kind: KindNSS, dir: "/a\nb"}
	if err := m.record(t.Context(), s, root); err == nil {
		t.Error("it is written, and nobody could read it again")
	}
	if _, err := m.readJournal(); err != nil {
		t.Error(err)
	}
}
