//go:build unix

package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// pretendFirefox lets m find a Firefox of a version, and returns its folder.
func pretendFirefox(t *testing.T, m *Machine, version string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "firefox-bin"), []byte("#!/bin/sh\n"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, applicationFile), []byte("; comment\n[App]\nName=Firefox\nVersion="+version+"\n"), 0o644))
	link := filepath.Join(t.TempDir(), "firefox")
	must(t, os.Symlink(filepath.Join(dir, "firefox-bin"), link))
	look := m.LookPath
	m.LookPath = func(program string) (string, error) {
		if program == "firefox" {
			return link, nil
		}
		return look(program)
	}
	return dir
}

// TestFirefoxFirstProfile: where it is made, and that it goes without a trace when
// Firefox never ran.
func TestFirefoxFirstProfile(t *testing.T) {
	const legacy, current = ".mozilla/firefox/rtcdev.default", ".config/mozilla/firefox/rtcdev.default"
	for name, test := range map[string]struct {
		version string // of the Firefox on PATH
		there   []string
		want    []string
	}{
		"present Firefox":                {"153.7.0", nil, []string{current}},
		"the first with the new place":   {"147.0", nil, []string{current}},
		"the last with the old place":    {"146.0.1", nil, []string{legacy}},
		"the old place exists":           {"153.7.0", []string{".mozilla/firefox"}, []string{legacy}},
		"the old place without firefox":  {"153.7.0", []string{".mozilla/native-messaging-hosts"}, []string{current}},
		"the new place exists":           {"153.7.0", []string{".config/mozilla/firefox"}, []string{current}},
		"a version that nobody can read": {"x", nil, []string{current}},
		"no Firefox":                     {"", nil, nil},
		"a flatpak":                      {"", []string{".var/app/org.mozilla.firefox/config"}, []string{".var/app/org.mozilla.firefox/config/mozilla/firefox/rtcdev.default"}},
		"an older flatpak":               {"", []string{".var/app/org.mozilla.firefox/.mozilla/firefox"}, []string{".var/app/org.mozilla.firefox/.mozilla/firefox/rtcdev.default"}},
		"a snap":                         {"", []string{"snap/firefox/common"}, []string{"snap/firefox/common/.mozilla/firefox/rtcdev.default"}},
		"a snap and a package":           {"153.7.0", []string{"snap/firefox/common"}, []string{current, "snap/firefox/common/.mozilla/firefox/rtcdev.default"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, one, two, ctx := journalled(t), newRoot(t).cert, newRoot(t).cert, t.Context()
			if test.version != "" {
				pretendFirefox(t, &m, test.version)
			}
			for _, dir := range test.there {
				must(t, os.MkdirAll(filepath.Join(m.Home, dir), 0o700))
			}
			was := tree(t, m.Home)
			var got []string
			for _, s := range m.firefoxStores() {
				got = append(got, strings.TrimPrefix(s.Path(), m.Home+"/"))
				if st := s.Status(ctx, one); st.State != StateAbsent || st.Reason == "" || st.Browser != BrowserFirefox {
					t.Errorf("before: %+v", st)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
			if got == nil {
				return
			}
			for _, root := range []*x509.Certificate{one, two, one} {
				results := m.Install(ctx, root, KindFirefox)
				checkAll(t, results, StateTrusted)
				checkReadBack(t, results, m.Status(ctx, root, KindFirefox))
				if !Trusted(results) || !results[0].Made || len(results) != len(test.want) {
					t.Errorf("%+v", results)
				}
			}
			checkAll(t, m.Remove(ctx, one, KindFirefox), StateAbsent)
			if r := m.Status(ctx, two, KindFirefox)[0]; r.State != StateTrusted {
				t.Errorf("the other root went, too: %+v", r)
			}
			checkAll(t, m.Remove(ctx, two, KindFirefox), StateAbsent)
			if now := append(tree(t, m.Home), tree(t, m.Journal)...); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
		})
	}
}

// TestFirefoxProfileThatIsNotOurs: once Firefox or somebody else has put anything
// there, nothing but the root goes.
func TestFirefoxProfileThatIsNotOurs(t *testing.T) {
	for name, use := range map[string]func(base, dir string) error{
		"a file of Firefox": func(_, dir string) error { return os.WriteFile(filepath.Join(dir, "times.json"), []byte("{}"), 0o600) },
		"its lock":          func(_, dir string) error { return os.WriteFile(filepath.Join(dir, ".parentlock"), nil, 0o600) },
		"another compatibility.ini": func(_, dir string) error {
			return os.WriteFile(filepath.Join(dir, compatibilityFile), []byte("[Compatibility]\nLastVersion=153.7.0_1/1\n"), 0o600)
		},
		"another profiles.ini": func(base, _ string) error {
			return os.WriteFile(filepath.Join(base, profilesFile), append(profilesText(), "\n[Install3B6073811A6ABF12]\nDefault=rtcdev.default\n"...), 0o600)
		},
		"a key": func(_, dir string) error {
			return exec.Command("symkeyutil", "-K", "-n", "theirs", "-t", "aes", "-s", "32", "-d", "sql:"+dir).Run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			need(t, "symkeyutil", "libnss3-tools")
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			pretendFirefox(t, &m, "153.7.0")
			checkAll(t, m.Install(ctx, root, KindFirefox), StateTrusted)
			base := filepath.Join(m.Home, ".config/mozilla/firefox")
			must(t, use(base, filepath.Join(base, firstProfileName)))
			was := tree(t, m.Home)
			checkAll(t, m.Remove(ctx, root, KindFirefox), StateAbsent)
			if now := tree(t, m.Home); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
			if list := certutil(t, filepath.Join(base, firstProfileName), "-L"); strings.Contains(list, nickPrefix) {
				t.Error(list)
			}
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("left in the journal's folder: %q", left)
			}
		})
	}
	t.Run("Firefox made another profile instead", func(t *testing.T) {
		m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
		pretendFirefox(t, &m, "153.7.0")
		checkAll(t, m.Install(ctx, root, KindFirefox), StateTrusted)
		base := filepath.Join(m.Home, ".config/mozilla/firefox")
		must(t, os.Mkdir(filepath.Join(base, "a.default"), 0o700))
		must(t, os.WriteFile(filepath.Join(base, profilesFile), []byte("[Profile0]\nIsRelative=1\nPath=a.default\n"), 0o600))
		if results := m.Install(ctx, root, KindFirefox); len(results) != 2 || !Trusted(results) {
			t.Errorf("%+v", results)
		}
		checkAll(t, m.Remove(ctx, root, KindFirefox), StateAbsent)
		want := []string{".config", ".config/mozilla", ".config/mozilla/firefox", ".config/mozilla/firefox/a.default", ".config/mozilla/firefox/" + profilesFile}
		if now := tree(t, m.Home); !slices.Equal(now, want) {
			t.Errorf("%q", now)
		}
	})
}

// profileOf makes a profile that Firefox has named.
func profileOf(t *testing.T, m Machine, name string, files ...string) string {
	t.Helper()
	base := filepath.Join(m.Home, ".mozilla/firefox")
	dir := filepath.Join(base, name)
	must(t, os.MkdirAll(dir, 0o700))
	for _, file := range files {
		must(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
	}
	list, err := os.OpenFile(filepath.Join(base, profilesFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer list.Close()
	_, err = io.WriteString(list, "[Profile"+name+"]\nIsRelative=1\nPath="+name+"\n")
	must(t, err)
	return dir
}

func TestFirefoxProfileWithoutDatabase(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		stays bool // Firefox has used the profile
	}{
		"never used":   {[]string{"times.json"}, false},
		"used earlier": {[]string{"times.json", compatibilityFile, "prefs.js"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			profileOf(t, m, "a.default", test.files...)
			was := tree(t, m.Home)
			checkAll(t, m.Install(ctx, root, KindFirefox), StateTrusted)
			checkAll(t, m.Remove(ctx, root, KindFirefox), StateAbsent)
			if now := tree(t, m.Home); slices.Equal(now, was) == test.stays {
				t.Errorf("was %q, is %q", was, now)
			}
		})
	}
}

func TestFirefoxFaults(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	for name, test := range map[string]struct {
		spoil func(t *testing.T, m *Machine, dir string)
		want  error
		state State
		fix   string
	}{
		"a master password": {func(t *testing.T, _ *Machine, dir string) {
			file := filepath.Join(t.TempDir(), "password")
			must(t, os.WriteFile(file, []byte("a-test-password\n"), 0o600))
			makeDB(t, dir, "-f", file)
		}, ErrPassword, StateUnavailable, "Primary Password"},
		"the old form": {func(t *testing.T, _ *Machine, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "cert8.db"), nil, 0o600))
		}, ErrUnsupported, StateUnavailable, "start Firefox once"},
		"keys without certificates": {func(t *testing.T, _ *Machine, dir string) {
			makeDB(t, dir)
			must(t, os.Remove(filepath.Join(dir, "cert9.db")))
		}, ErrDatabase, StateUnknown, "start Firefox once"},
		"damaged": {func(t *testing.T, _ *Machine, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "cert9.db"), []byte(strings.Repeat("not a database ", 999)), 0o600))
		}, ErrDatabase, StateUnknown, "/cert9.db.damaged"},
		"no certutil": {func(_ *testing.T, m *Machine, _ string) {
			m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
			m.UID, m.RootCommand = 0, "rtcdev certs"
			must(t, os.Mkdir(filepath.Join(m.Root, "etc"), 0o755))
			must(t, os.WriteFile(filepath.Join(m.Root, "etc/os-release"), []byte("ID=debian\n"), 0o644))
		}, ErrToolMissing, StateUnavailable, "sudo apt install libnss3-tools"},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			bad := profileOf(t, m, "bad", "prefs.js")
			good := profileOf(t, m, "good", "prefs.js")
			test.spoil(t, &m, bad)
			was := tree(t, bad)
			results := m.Install(ctx, root, KindFirefox)
			r := byName(t, results, "firefox ~/.mozilla/firefox/bad")
			if !errors.Is(r.Err, test.want) || r.State != test.state || !strings.Contains(r.Fix, test.fix) || r.Changed || Trusted(results) {
				t.Errorf("%+v", r)
			}
			t.Logf("%v\n  next: %s", r.Err, r.Fix)
			if now := tree(t, bad); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
			if r := byName(t, results, "firefox ~/.mozilla/firefox/good"); test.want != ErrToolMissing && (r.State != StateTrusted || r.Path != good) {
				t.Errorf("one profile's failure stopped the other: %+v", r)
			}
		})
	}
}

// TestFirefoxStartItFirst: where only Firefox can make the first profile.
func TestFirefoxStartItFirst(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, m *Machine) error{
		"a profiles.ini without a profile": func(t *testing.T, m *Machine) error {
			pretendFirefox(t, m, "153.7.0")
			return os.RemoveAll(profileOf(t, *m, "gone"))
		},
		"an installation that is not found": func(t *testing.T, m *Machine) error {
			return os.Remove(filepath.Join(pretendFirefox(t, m, "153.7.0"), applicationFile))
		},
		"a snap that will copy the account's profiles": func(t *testing.T, m *Machine) error {
			profileOf(t, *m, "a.default", "cert9.db")
			return os.MkdirAll(filepath.Join(m.Home, "snap/firefox"), 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, root := journalled(t), newRoot(t).cert
			must(t, prepare(t, &m))
			was := tree(t, m.Home)
			results := m.Install(t.Context(), root, KindFirefox)
			r := results[len(results)-1]
			if !errors.Is(r.Err, ErrUnsupported) || r.State != StateUnavailable || !strings.HasPrefix(r.Fix, "start Firefox once") || Trusted(results) {
				t.Errorf("%+v", r)
			}
			t.Logf("%v\n  next: %s", r.Err, r.Fix)
			if now := tree(t, m.Home); len(now) > len(was)+len(nssFiles()) {
				t.Errorf("was %q, is %q", was, now)
			}
		})
	}
}

func TestFirefoxAskedForAndNotThere(t *testing.T) {
	m := testMachine(t)
	r := m.Install(t.Context(), newRoot(t).cert, KindFirefox)
	if len(r) != 1 || !errors.Is(r[0].Err, ErrToolMissing) || r[0].Fix == "" {
		t.Errorf("%+v", r)
	}
}

// TestFirefoxOutsideLinux: the tool is seldom there, and not needed.
func TestFirefoxOutsideLinux(t *testing.T) {
	for name, test := range map[string]struct {
		os, folder, certutil string
		want                 State
	}{
		"macOS":                      {"darwin", "Library/Application Support/Firefox", "", StateUnused},
		"macOS with Homebrew's":      {"darwin", "Library/Application Support/Firefox", "/opt/homebrew/bin/certutil", StateTrusted},
		"Windows, which has its own": {"windows", "AppData/Roaming/Mozilla/Firefox", `C:\WINDOWS\System32\certutil.exe`, StateUnused},
		"Windows with NSS's":         {"windows", "AppData/Roaming/Mozilla/Firefox", `C:\nss\bin\certutil.exe`, StateTrusted},
	} {
		t.Run(name, func(t *testing.T) {
			real := need(t, "certutil", "libnss3-tools")
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			m.OS, m.AppData = test.os, filepath.Join(m.Home, "AppData/Roaming")
			run := m.Run
			m.LookPath = func(program string) (string, error) {
				if test.certutil == "" || program != "certutil" {
					return "", exec.ErrNotFound
				}
				return test.certutil, nil
			}
			m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
				if test.want == StateUnused {
					t.Errorf("%s %q was run", program, args)
				}
				return run(ctx, real, args...)
			}
			base := filepath.Join(m.Home, test.folder)
			makeDB(t, filepath.Join(base, "Profiles/a.default-release"))
			must(t, os.WriteFile(filepath.Join(base, profilesFile), []byte("[Profile0]\nIsRelative=1\nPath=Profiles/a.default-release\n"), 0o600))
			results := m.Install(ctx, root, KindFirefox)
			if r := results[0]; len(results) != 1 || r.Err != nil || r.State != test.want || r.Skipped != (test.want == StateUnused) || (r.Browser == "") != r.Skipped {
				t.Errorf("%+v", results)
			}
			checkAll(t, m.Remove(ctx, root, KindFirefox), StateAbsent)
		})
	}
}

// TestFirefoxRuns: its lock on the profile is what it holds as long as it runs.
func TestFirefoxRuns(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	dir := profileOf(t, m, "a.default", ".parentlock")
	lock := exec.Command(need(t, "python3", "python3"), "-c", `
import fcntl, sys
f = open(sys.argv[1], "w")
fcntl.lockf(f, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()`, filepath.Join(dir, ".parentlock"))
	release := holdOpen(t, lock)
	if r := m.Install(ctx, root, KindFirefox)[0]; r.Err != nil || !strings.Contains(r.Note, "is running") {
		t.Errorf("%+v", r)
	}
	release()
	if r := m.Remove(ctx, root, KindFirefox)[0]; r.Err != nil || !strings.Contains(r.Note, "if running") {
		t.Errorf("%+v", r)
	}
}

// holdOpen starts a program that says a line when it is ready and ends with its
// stdin.
func holdOpen(t *testing.T, cmd *exec.Cmd) (end func()) {
	t.Helper()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	var done bool
	end = func() {
		if !done {
			done = true
			_ = in.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(end)
	line := make([]byte, 64)
	if n, err := out.Read(line); n == 0 {
		t.Fatalf("%s did not start: %v", cmd.Path, err)
	}
	return end
}
