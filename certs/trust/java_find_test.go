//go:build darwin || linux

package trust

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestJavaWhichKeystores needs no Java: it is about where one would be.
func TestJavaWhichKeystores(t *testing.T) {
	type files = map[string]string // path below the root -> link target, "" for a file
	for name, test := range map[string]struct {
		files    files
		javaHome string
		path     string // of java
		want     []string
		keytool  string // of the first
	}{
		"none":             {files{}, "", "", nil, ""},
		"JAVA_HOME":        {files{"/j/lib/security/cacerts": "", "/j/bin/keytool": ""}, "/j", "", []string{"/j/lib/security/cacerts"}, "/j/bin/keytool"},
		"java on PATH":     {files{"/usr/bin/java": "../lib/j/bin/java", "/usr/lib/j/bin/java": "", "/usr/lib/j/lib/security/cacerts": ""}, "", "/usr/bin/java", []string{"/usr/lib/j/lib/security/cacerts"}, ""},
		"both, one file":   {files{"/j/lib/security/cacerts": "../../../etc/cacerts", "/k/lib/security/cacerts": "../../../etc/cacerts", "/etc/cacerts": "", "/k/bin/java": "", "/j/bin/keytool": ""}, "/j", "/k/bin/java", []string{"/etc/cacerts"}, "/j/bin/keytool"},
		"both, two files":  {files{"/j/lib/security/cacerts": "", "/k/lib/security/cacerts": "", "/k/bin/java": "", "/j/bin/keytool": ""}, "/j", "/k/bin/java", []string{"/j/lib/security/cacerts", "/k/lib/security/cacerts"}, "/j/bin/keytool"},
		"jssecacerts":      {files{"/j/lib/security/cacerts": "", "/j/lib/security/jssecacerts": ""}, "/j", "", []string{"/j/lib/security/jssecacerts"}, ""},
		"Java 8, its JDK":  {files{"/j/jre/lib/security/cacerts": "", "/j/bin/keytool": ""}, "/j", "", []string{"/j/jre/lib/security/cacerts"}, "/j/bin/keytool"},
		"Java 8, its JRE":  {files{"/j/jre/lib/security/cacerts": "", "/j/jre/bin/java": "", "/j/jre/bin/keytool": "", "/usr/bin/java": "../../j/jre/bin/java"}, "", "/usr/bin/java", []string{"/j/jre/lib/security/cacerts"}, "/j/jre/bin/keytool"},
		"a wrapper":        {files{"/home/kim/.asdf/shims/java": ""}, "", "/home/kim/.asdf/shims/java", nil, ""},
		"JAVA_HOME is old": {files{"/k/lib/security/cacerts": "", "/k/bin/java": ""}, "/gone", "/k/bin/java", []string{"/k/lib/security/cacerts"}, ""},
		"a folder":         {files{"/j/lib/security/cacerts/x": ""}, "/j", "", nil, ""},
		"a dangling link":  {files{"/j/lib/security/cacerts": "nowhere"}, "/j", "", nil, ""},
		"out of the root":  {files{"/j/lib/security/cacerts": "/etc/passwd"}, "/j", "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, root := testMachine(t), newRoot(t).cert
			real, err := filepath.EvalSymlinks(m.Root)
			must(t, err)
			m.OS, m.JavaHome = "linux", test.javaHome
			m.LookPath = func(program string) (string, error) {
				if program == "java" && test.path != "" {
					return test.path, nil
				}
				return "", exec.ErrNotFound
			}
			for path, target := range test.files {
				path = filepath.Join(m.Root, path)
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				if target != "" {
					must(t, os.Symlink(target, path))
				} else {
					must(t, os.WriteFile(path, []byte("x"), 0o755))
				}
			}
			var got []string
			for _, s := range m.javaStores() {
				got = append(got, strings.TrimPrefix(s.Path(), real))
				if tool := strings.TrimPrefix(s.(javaStore).keytool, m.Root); len(got) == 1 && tool != test.keytool {
					t.Errorf("the keytool is %q", tool)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
			if len(test.want) > 0 {
				return
			}
			r := m.Install(t.Context(), root, KindJava)
			if len(r) != 1 || !errors.Is(r[0].Err, ErrToolMissing) || r[0].State != StateUnavailable || !strings.Contains(r[0].Fix, "JAVA_HOME") {
				t.Errorf("asked for: %+v", r)
			}
			t.Logf("%v\n  next: %s", r[0].Err, r[0].Fix)
			checkFix(t, r[0].Fix, root, "")
			if r := m.Remove(t.Context(), root, KindJava)[0]; r.Err != nil {
				t.Errorf("there is nothing to remove: %+v", r)
			}
			for _, r := range m.Status(t.Context(), root) {
				if r.Kind == KindJava {
					t.Errorf("nobody asked: %+v", r)
				}
			}
		})
	}
}

// TestJavaOfMac: /usr/bin/java is there on every Mac, with or without a Java.
func TestJavaOfMac(t *testing.T) {
	for answer, want := range map[string]int{"/Library/Java/JavaVirtualMachines/j.jdk/Contents/Home\n": 1, "": 0, "relative\n": 0} {
		m := testMachine(t)
		m.OS, m.JavaHome = "darwin", ""
		m.LookPath = func(program string) (string, error) { return "/usr/bin/" + program, nil }
		m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 2*time.Second {
				t.Errorf("Ctrl-C would wait for it until %v", deadline)
			}
			if program != "/usr/libexec/java_home" || len(args) > 0 {
				t.Errorf("it runs %s %q", program, args)
			}
			if answer == "" {
				return nil, []byte("Unable to locate a Java Runtime."), errors.New("exit status 1")
			}
			return []byte(answer), nil, nil
		}
		cacerts := filepath.Join(m.Root, strings.TrimSpace(answer), "lib/security/cacerts")
		must(t, os.MkdirAll(filepath.Dir(cacerts), 0o755))
		must(t, os.WriteFile(cacerts, nil, 0o644))
		if got := m.javaStores(); len(got) != want {
			t.Errorf("%q: %d stores", answer, len(got))
		}
	}
}

// TestJavaThatOnlyTheJournalKnows: JAVA_HOME has changed since.
func TestJavaThatOnlyTheJournalKnows(t *testing.T) {
	real := realJavas(t)[0]
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	m.Journal = t.TempDir()
	old := fakeJava(t, &m, real, realKeytool)
	checkAll(t, m.Install(ctx, root, KindJava), StateTrusted)
	must(t, os.Rename(filepath.Join(m.Root, "opt/java/bin"), filepath.Join(m.Root, "elsewhere")))
	m.JavaHome = ""

	r := byName(t, m.Remove(ctx, root, KindJava), "java "+old)
	if !errors.Is(r.Err, ErrToolMissing) || !strings.Contains(r.Fix, "JAVA_HOME") {
		t.Errorf("without any Java: %+v", r)
	}
	must(t, errors.Join(os.MkdirAll(filepath.Join(m.Root, "new/lib/security"), 0o755),
		os.Rename(filepath.Join(m.Root, "elsewhere"), filepath.Join(m.Root, "new/bin"))))
	raw, err := os.ReadFile(Machine{}.javaRoots(real))
	must(t, errors.Join(err, os.WriteFile(filepath.Join(m.Root, "new/lib/security/cacerts"), raw, 0o644)))
	m.JavaHome = "/new"
	if r := byName(t, m.Status(ctx, root, KindJava), "java "+old); r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
	if r := byName(t, m.Remove(ctx, root, KindJava), "java "+old); r.Err != nil || !r.Changed {
		t.Errorf("%+v", r)
	}
	if listing(t, real, old) != listing(t, real, Machine{}.javaRoots(real)) {
		t.Error("it is not what it was")
	}
	if left := tree(t, m.Journal); left != nil {
		t.Errorf("left in the journal's folder: %q", left)
	}

	// An uninstalled Java leaves the journal.
	m.JavaHome = "/opt/java"
	must(t, os.Symlink("../../new/bin", filepath.Join(m.Root, "opt/java/bin")))
	checkAll(t, m.Install(ctx, root, KindJava), StateTrusted)
	must(t, os.RemoveAll(filepath.Join(m.Root, "opt")))
	checkAll(t, m.Remove(ctx, root, KindJava), StateAbsent)
	if left := tree(t, m.Journal); left != nil {
		t.Errorf("left in the journal's folder: %q", left)
	}
}

const inJavaKill = "RTCDEV_TRUST_TEST_JAVA_KILL"

// TestJavaKilledHalfWay kills a process while its keytool changes the copy.
func TestJavaKilledHalfWay(t *testing.T) {
	if state := os.Getenv(inJavaKill); state != "" {
		parts := strings.Split(state, "\n") // root folder, journal's folder, root
		der, _ := pem.Decode([]byte(strings.Join(parts[2:], "\n")))
		cert, err := x509.ParseCertificate(der.Bytes)
		must(t, err)
		m, err := ThisMachine()
		must(t, err)
		m.Root, m.Journal, m.JavaHome = parts[0], parts[1], "/opt/java"
		t.Fatalf("it was to be killed: %+v", m.Install(t.Context(), cert, KindJava))
	}
	real := realJavas(t)[0]
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	m.Journal = t.TempDir()
	keystore := fakeJava(t, &m, real, `case "$*" in *-importcert*) for last; do case "$last" in *.rtcdev-keystore*) : >"$last";; esac; done; kill -9 $PPID; exit 1;; esac; `+realKeytool)
	before := listing(t, real, keystore)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestJavaKilledHalfWay$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%s\n%s", inJavaKill, m.Root, m.Journal, pemBytes(root)))
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, out)
	}
	if listing(t, real, keystore) != before {
		t.Error("the keystore was harmed")
	}
	if left := tree(t, filepath.Dir(keystore)); len(left) != 2 {
		t.Errorf("this test is about a copy that is left: %q", left)
	}
	j, err := m.readJournal()
	if err != nil || len(j.Stores) != 1 {
		t.Errorf("%+v, %v", j, err)
	}

	wrapper := filepath.Join(m.Root, "opt/java/bin/keytool")
	must(t, os.WriteFile(wrapper, []byte("#!/bin/sh\nreal="+real+"\n"+realKeytool+"\n"), 0o755))
	again := m
	again.Journal = t.TempDir()
	checkAll(t, again.Install(ctx, root, KindJava), StateTrusted)
	checkAlone(t, keystore)
	checkAll(t, again.Remove(ctx, root, KindJava), StateAbsent)

	must(t, os.WriteFile(filepath.Join(filepath.Dir(keystore), ".rtcdev-keystore-1"), nil, 0o600))
	checkAll(t, m.Remove(ctx, root, KindJava), StateAbsent) // nothing is in it, but the copy
	checkAlone(t, keystore)
	if left := tree(t, m.Journal); left != nil {
		t.Errorf("left in the journal's folder: %q", left)
	}
	if listing(t, real, keystore) != before {
		t.Error("it is not what it was")
	}
}

func TestJavaManyAtOnce(t *testing.T) {
	real := realJavas(t)[0]
	m, ctx := testMachine(t), t.Context()
	m.Journal = t.TempDir()
	keystore := fakeJava(t, &m, real, realKeytool)
	before := listing(t, real, keystore)
	roots := []*x509.Certificate{newRoot(t).cert, newRoot(t).cert}
	for _, do := range []func(*x509.Certificate) []Result{
		func(root *x509.Certificate) []Result { return m.Install(ctx, root, KindJava) },
		func(root *x509.Certificate) []Result { return m.Remove(ctx, root, KindJava) },
	} {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if r := do(roots[i%2])[0]; r.Err != nil {
					t.Errorf("%+v", r)
				}
			})
		}
		wg.Wait()
		found, err := m.Roots(ctx, KindJava)
		must(t, err)
		t.Logf("%d roots", len(found))
		if len(found) == 1 {
			t.Error("one was lost")
		}
	}
	if listing(t, real, keystore) != before {
		t.Error("it is not what it was")
	}
	checkAlone(t, keystore)
}

func TestParseKeystore(t *testing.T) {
	one, two := newRoot(t).cert, newRoot(t).cert
	text := func(kind string, blocks ...string) string {
		return "Alias name: a, b: c\nCreation date: Nov 22, 2026\nEntry type: " + kind + "\n\n" + strings.Join(blocks, "\n") + "\n\n*******\n\n"
	}
	block, block2 := string(pemBytes(one)), string(pemBytes(two))
	const head = "Keystore type: JKS\nKeystore provider: SUN\n\nYour keystore contains %d entries\n\n"
	for name, test := range map[string]struct {
		out  string
		want int // entries, -1 for an error
		hold bool
	}{
		"empty":               {fmt.Sprintf(head, 0), 0, false},
		"one entry":           {"Your keystore contains 1 entry\n" + text("trustedCertEntry", block), 1, true},
		"of Windows":          {strings.ReplaceAll(fmt.Sprintf(head, 1)+text("trustedCertEntry", block), "\n", "\r\n"), 1, true},
		"somebody's key":      {fmt.Sprintf(head, 1) + text("PrivateKeyEntry\nCertificate chain length: 2\nCertificate[1]:", block2, "Certificate[2]:", block), 1, false},
		"after a broken one":  {fmt.Sprintf(head, 2) + text("trustedCertEntry", "-----BEGIN CERTIFICATE-----", "!") + text("trustedCertEntry", block), 2, true},
		"an unknown entry":    {fmt.Sprintf(head, 1) + text("SecretKeyEntry"), 1, false},
		"cut off":             {fmt.Sprintf(head, 2) + text("trustedCertEntry", block), -1, false},
		"no count":            {text("trustedCertEntry", block), -1, false},
		"nothing":             {"", -1, false},
		"another language":    {"Keystore enthält 1 Eintrag\n\nAliasname: a\n", -1, false},
		"an alias of 2 lines": {fmt.Sprintf(head, 1) + "Alias name: x\nAlias name: y\nEntry type: trustedCertEntry\n" + block, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			entries, err := parseKeystore(test.out)
			if (err != nil) != (test.want < 0) || err == nil && len(entries) != test.want {
				t.Fatalf("%+v, %v", entries, err)
			}
			if got := slices.ContainsFunc(entries, func(e javaEntry) bool { return e.holds(one) }); got != test.hold {
				t.Errorf("holds the root: %t", got)
			}
		})
	}
}

func FuzzParseKeystore(f *testing.F) {
	f.Add("Your keystore contains 1 entry\n\nAlias name: a\nEntry type: trustedCertEntry\n\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Add("Your keystore contains 0 entries\n")
	f.Fuzz(func(t *testing.T, out string) {
		entries, err := parseKeystore(out)
		if err != nil && entries != nil {
			t.Error("entries and an error")
		}
		if len(entries) > strings.Count(out, "Alias name: ") {
			t.Errorf("%d entries", len(entries))
		}
		for _, e := range entries {
			e.ours()
		}
	})
}
