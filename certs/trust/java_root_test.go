//go:build darwin || linux

package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestJavaOfAnotherAsRoot: root neither writes where somebody else could put a
// link on the way, nor runs what somebody else could change.
func TestJavaOfAnotherAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of others")
	}
	const kim = 1001
	give := func(path string) func(string) error {
		return func(root string) error { return os.Lchown(filepath.Join(root, path), kim, kim) }
	}
	open := func(path string, mode fs.FileMode) func(string) error {
		return func(root string) error { return os.Chmod(filepath.Join(root, path), mode) }
	}
	// The keystore is /opt/java/lib/security/cacerts, the keytool /opt/java/bin/keytool.
	for name, test := range map[string]struct {
		spoil  func(root string) error
		runs   bool // the keytool is root's: it may read
		refuse bool // to write
		fix    string
	}{
		"all is root's":               {func(string) error { return nil }, true, false, ""},
		"a sticky folder":             {open("opt", 0o777|fs.ModeSticky), true, false, ""},
		"the keystore":                {give("opt/java/lib/security/cacerts"), true, true, "without sudo"},
		"the keystore, mode":          {open("opt/java/lib/security/cacerts", 0o664), true, true, "sudo chmod go-w "},
		"its folder":                  {give("opt/java/lib/security"), true, true, "without sudo"},
		"its folder, mode":            {open("opt/java/lib/security", 0o775), true, true, "sudo chmod go-w "},
		"a folder above":              {give("opt/java/lib"), true, true, "without sudo"},
		"the folder of Java":          {give("opt/java"), false, true, "without sudo"},
		"a sticky folder of another":  {func(root string) error { return errors.Join(open("opt", 0o777|fs.ModeSticky)(root), give("opt")(root)) }, false, true, "without sudo"},
		"keytool":                     {give("opt/java/bin/keytool"), false, true, "without sudo"},
		"keytool, mode":               {open("opt/java/bin/keytool", 0o777), false, true, "sudo chmod go-w "},
		"the folder of keytool":       {give("opt/java/bin"), false, true, "without sudo"},
		"a link of another":           {linkJava(kim), false, true, "without sudo"},
		"a link of root":              {linkJava(0), true, false, ""},
		"what keytool is a link to":   {linkKeytool("tools", 0o777), false, true, "sudo chmod go-w "},
		"what keytool is a link to 2": {linkKeytool("tools", 0o755), true, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			keystore := fakeKeystore(t, &m)
			var ran []string
			m.Run = func(_ context.Context, program string, args ...string) ([]byte, []byte, error) {
				if filepath.Base(program) != "keytool" {
					return nil, nil, errors.New("not of this test")
				}
				ran = append(ran, strings.Join(args, " "))
				return []byte("Your keystore contains 0 entries\n"), nil, nil
			}
			must(t, test.spoil(m.Root))
			before, err := os.ReadFile(keystore)
			must(t, err)
			st := m.Status(ctx, root, KindJava)[0]
			if runs := len(ran) > 0; runs != test.runs {
				t.Errorf("it ran %q", ran)
			}
			if want := map[bool]State{true: StateAbsent, false: StateUnavailable}[test.runs]; st.State != want || !strings.Contains(st.Fix, test.fix) {
				t.Errorf("%+v", st)
			}
			if test.refuse && !strings.Contains(st.Reason, ErrNotOwner.Error()) {
				t.Errorf("the reason: %q", st.Reason)
			}
			if r := byName(t, m.Install(ctx, root), st.Store); test.refuse && (!r.Skipped || r.Err != nil) {
				t.Errorf("nobody asked for it: %+v", r)
			}
			r := m.Install(ctx, root, KindJava)[0]
			if errors.Is(r.Err, ErrNotOwner) != test.refuse || !strings.Contains(r.Fix, test.fix) {
				t.Errorf("%+v", r)
			}
			t.Logf("%v\n  next: %s", r.Err, r.Fix)
			wrote := slices.ContainsFunc(ran, func(args string) bool { return !strings.Contains(args, " -list ") })
			if wrote == test.refuse {
				t.Errorf("it ran %q", ran)
			}
			after, err := os.ReadFile(keystore)
			if must(t, err); !bytes.Equal(before, after) {
				t.Error("it was changed")
			}
			checkAlone(t, keystore)
			if r.Fix != "" {
				checkFix(t, r.Fix, root, "")
			}
		})
	}
}

// TestJavaKeepsTheGroup: the copy that takes the keystore's place is as that was.
func TestJavaKeepsTheGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to any group")
	}
	real := realJavas(t)[0]
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	keystore := fakeJava(t, &m, real, realKeytool)
	must(t, errors.Join(os.Chown(keystore, 0, 65534), os.Chmod(keystore, 0o640)))
	checkAll(t, m.Install(ctx, root, KindJava), StateTrusted)
	info, err := os.Stat(keystore)
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 || stat.Gid != 65534 || info.Mode() != 0o640 {
		t.Errorf("it is %d's and %d's, %v", stat.Uid, stat.Gid, info.Mode())
	}
}

// TestPipesAreNotWaitedFor: nobody writes into them.
func TestPipesAreNotWaitedFor(t *testing.T) {
	root := newRoot(t).cert
	for name, test := range map[string]struct {
		path  string
		store func(m Machine, path string) Store
		state State
	}{
		"a keystore of the journal": {"cacerts", func(m Machine, path string) Store { return m.javaAt(path) }, StateUnknown},
		"policies.json": {"policies.json", func(m Machine, path string) Store {
			return policyStore{m: m, file: path, keys: []string{"policies", "Certificates", "Install"}, beside: true}
		}, StateUnknown},
		"policies beside Firefox": {"usr/lib/firefox/distribution/policies.json", func(m Machine, path string) Store {
			return policyStore{m: m, file: filepath.Join(m.Root, "none.json"), keys: []string{"policies", "Certificates", "Install"}, beside: true}
		}, StateAbsent},
		"a certificate that is listed": {"root.pem", func(m Machine, path string) Store {
			list := filepath.Join(m.Root, "policies.json")
			must(t, os.WriteFile(list, fmt.Appendf(nil, `{"policies": {"Certificates": {"Install": [%q]}}}`, path), 0o644))
			return policyStore{m: m, file: list, keys: []string{"policies", "Certificates", "Install"}, beside: true}
		}, StateAbsent},
	} {
		t.Run(name, func(t *testing.T) {
			m := testMachine(t)
			m.OS, m.asked = "linux", []string{KindJava, KindPolicy}
			path := filepath.Join(m.Root, test.path)
			must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), syscall.Mkfifo(path, 0o644)))
			s := test.store(m, path)
			answer := make(chan Status, 1)
			go func() { answer <- s.Status(t.Context(), root) }()
			select {
			case st := <-answer:
				if st.State != test.state {
					t.Errorf("%+v", st)
				}
			case <-time.After(10 * time.Second):
				writer, err := os.OpenFile(path, os.O_RDWR, 0) // which ends the wait
				must(t, err)
				defer writer.Close()
				t.Error("it waits for a writer")
			}
		})
	}
}

// fakeKeystore makes a Java below m.Root in which nothing works.
func fakeKeystore(t *testing.T, m *Machine) (keystore string) {
	t.Helper()
	m.JavaHome = "/opt/java"
	home := filepath.Join(m.Root, m.JavaHome)
	writeJava(t, filepath.Join(home, "bin/keytool"), 0o755)
	writeJava(t, filepath.Join(home, "lib/security/cacerts"), 0o644)
	return m.resolved(filepath.Join(home, "lib/security/cacerts"))
}

func writeJava(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), mode)))
}

// linkJava makes /opt/java a link of uid.
func linkJava(uid int) func(root string) error {
	return func(root string) error {
		link := filepath.Join(root, "opt/java")
		return errors.Join(os.Rename(link, filepath.Join(root, "opt/real")), os.Symlink("real", link), os.Lchown(link, uid, uid))
	}
}

// linkKeytool makes keytool a link into a folder with mode.
func linkKeytool(folder string, mode fs.FileMode) func(root string) error {
	return func(root string) error {
		keytool := filepath.Join(root, "opt/java/bin/keytool")
		moved := filepath.Join(root, folder, "keytool")
		return errors.Join(os.Mkdir(filepath.Dir(moved), 0o755), os.Chmod(filepath.Dir(moved), mode),
			os.Rename(keytool, moved), os.Symlink(moved, keytool))
	}
}
