package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// realJavas returns the folders of the Javas that are installed here.
func realJavas(t *testing.T) []string {
	t.Helper()
	m := Machine{LookPath: exec.LookPath}
	need(t, "keytool", "default-jdk-headless")
	homes := m.javaHomes()
	more, err := filepath.Glob("/usr/lib/jvm/*/bin/keytool")
	must(t, err)
	for _, keytool := range more {
		if home := filepath.Dir(filepath.Dir(m.resolved(keytool))); !slices.Contains(homes, home) {
			homes = append(homes, home)
		}
	}
	return homes
}

// fakeJava makes a Java below m.Root that runs keytool, a line of sh, and trusts
// the roots that real does. It returns the keystore.
func fakeJava(t *testing.T, m *Machine, real, keytool string) (keystore string) {
	t.Helper()
	roots, err := os.ReadFile(Machine{}.javaRoots(real))
	must(t, err)
	m.JavaHome = "/opt/java"
	home := filepath.Join(m.Root, m.JavaHome)
	must(t, errors.Join(os.MkdirAll(filepath.Join(home, "bin"), 0o755), os.MkdirAll(filepath.Join(home, "lib/security"), 0o755)))
	for name, line := range map[string]string{"keytool": keytool, "java": `exec "$real/bin/java" "$@"`} {
		line = fmt.Sprintf("#!/bin/sh\nreal=%s\n%s\n", quote("linux", real), line)
		must(t, os.WriteFile(filepath.Join(home, "bin", name), []byte(line), 0o755))
	}
	keystore = filepath.Join(home, "lib/security/cacerts")
	must(t, os.WriteFile(keystore, roots, 0o644))
	return m.resolved(keystore)
}

const realKeytool = `exec "$real/bin/keytool" "$@"`

// listing is everything keytool tells of a keystore.
func listing(t *testing.T, real, keystore string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(real, "bin/keytool"), "-list", "-rfc", "-keystore", keystore, "-storepass", "changeit").Output()
	must(t, err)
	return string(out)
}

// checkAlone checks that nothing is beside the keystore.
func checkAlone(t *testing.T, keystore string) {
	t.Helper()
	if now := tree(t, filepath.Dir(keystore)); !slices.Equal(now, []string{filepath.Base(keystore)}) {
		t.Errorf("beside the keystore: %q", now)
	}
}

// TestJavaPrograms is the proof: a Java program refuses, accepts, refuses.
func TestJavaPrograms(t *testing.T) {
	javas := realJavas(t)
	for form, real := range map[string]string{"as installed": javas[0], "PKCS12": javas[len(javas)-1]} {
		t.Run(filepath.Base(real)+" "+form, func(t *testing.T) {
			m, one, two, ctx := testMachine(t), newRoot(t), newRoot(t), t.Context()
			m.Journal = t.TempDir()
			keystore := fakeJava(t, &m, real, realKeytool)
			if form == "PKCS12" { // as the makers of the JDK ship it: no password at all
				toPKCS12(t, real, keystore)
			}
			must(t, os.Chmod(keystore, 0o640))
			info, err := os.Stat(keystore)
			must(t, err)
			bytesBefore, err := os.ReadFile(keystore)
			must(t, err)
			before := listing(t, real, keystore)
			javaAccepts(t, real, keystore, one, false)

			r := m.Install(ctx, one.cert, KindJava)
			if len(r) != 1 || r[0].Err != nil || r[0].State != StateTrusted || !r[0].Changed || r[0].Note != "" || r[0].Since.IsZero() || r[0].Made {
				t.Fatalf("%+v", r)
			}
			checkReadBack(t, r, m.Status(ctx, one.cert, KindJava))
			javaAccepts(t, real, keystore, one, true)
			javaAccepts(t, real, keystore, two, false)
			now, err := os.Stat(keystore)
			if must(t, err); now.Mode() != info.Mode() {
				t.Errorf("it was %v and is %v", info.Mode(), now.Mode())
			}
			checkAlone(t, keystore)
			if r := m.Install(ctx, one.cert, KindJava)[0]; r.Err != nil || r.Changed {
				t.Errorf("Install again: %+v", r)
			}
			if r := m.Status(ctx, two.cert, KindJava)[0]; r.State != StateStale || r.Stale != 1 {
				t.Errorf("a root of an earlier authority: %+v", r)
			}
			must(t, m.Install(ctx, two.cert, KindJava)[0].Err)
			roots, err := m.Roots(ctx, KindJava)
			must(t, err)
			checkRoots(t, roots, one.cert, two.cert)

			for _, root := range []testRoot{two, one} {
				if r := m.Remove(ctx, root.cert, KindJava)[0]; r.Err != nil || r.State != StateAbsent || !r.Changed {
					t.Errorf("Remove: %+v", r)
				}
			}
			javaAccepts(t, real, keystore, one, false)
			if now := listing(t, real, keystore); now != before {
				t.Errorf("the listing was\n%.400s\nand is\n%.400s", before, now)
			}
			after, err := os.ReadFile(keystore)
			must(t, err)
			t.Logf("byte for byte as before: %t", bytes.Equal(after, bytesBefore))
			checkAlone(t, keystore)
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("left in the journal's folder: %q", left)
			}
			if r := m.Remove(ctx, one.cert, KindJava)[0]; r.Err != nil || r.Changed {
				t.Errorf("Remove again: %+v", r)
			}
		})
	}
}

func toPKCS12(t *testing.T, real, keystore string) {
	t.Helper()
	made := filepath.Join(t.TempDir(), "p12")
	out, err := exec.CommandContext(t.Context(), filepath.Join(real, "bin/keytool"), "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE",
		"-J-Dkeystore.pkcs12.macAlgorithm=NONE", "-importkeystore", "-srckeystore", keystore, "-srcstorepass", "changeit",
		"-destkeystore", made, "-deststoretype", "PKCS12", "-deststorepass", "changeit").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.500s", err, out)
	}
	must(t, os.Rename(made, keystore))
}

// javaAccepts runs a program that loads a page of the root.
func javaAccepts(t *testing.T, real, keystore string, root testRoot, want bool) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "Fetch.java")
	must(t, os.WriteFile(source, []byte(`
class Fetch {
	public static void main(String[] args) throws Exception {
		var connection = new java.net.URI(args[0]).toURL().openConnection(java.net.Proxy.NO_PROXY);
		System.out.print(new String(connection.getInputStream().readAllBytes()));
	}
}`), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(real, "bin/java"), "-XX:TieredStopAtLevel=1",
		"-Djavax.net.ssl.trustStore="+keystore, source, root.serve(t)).CombinedOutput()
	switch got := err == nil && strings.Contains(string(out), greeting); {
	case got != want:
		t.Errorf("Java accepts: %t, want %t: %v %.1000s", got, want, err, out)
	case !want && !strings.Contains(string(out), "PKIX path"):
		t.Errorf("Java refused for another reason: %.1000s", out)
	}
}

// TestJavaIsLeftAsItWas: whatever keytool does, the keystore is not harmed.
func TestJavaIsLeftAsItWas(t *testing.T) {
	real := realJavas(t)[0]
	const onImport = `case "$*" in *-importcert*) %s;; esac; ` + realKeytool
	for name, test := range map[string]struct {
		keytool string
		want    error
		said    string
	}{
		"it lies":                 {"exit 0", ErrNotVerified, "not touched"},
		"it takes others out":     {`"$real/bin/keytool" -delete -alias "$("$real/bin/keytool" -list -keystore "${11}" -storepass changeit | sed -n "s/, .*//p" | head -1)" -keystore "${11}" -storepass changeit; exit 0`, ErrNotVerified, ""},
		"it fails":                {`echo "keytool error: java.lang.Exception: no"; exit 1`, nil, "java.lang.Exception: no"},
		"it hangs":                {"exec sleep 600", ErrTimeout, "was stopped"},
		"it empties the keystore": {`for last; do case "$last" in *.rtcdev-keystore*) : >"$last";; esac; done; exit 0`, ErrDatabase, "is empty"},
		"it writes half":          {`for last; do case "$last" in *.rtcdev-keystore*) truncate -s 5000 "$last";; esac; done; exit 0`, ErrDatabase, ""},
		"somebody else writes":    {`"$real/bin/keytool" "$@"; echo >>` + "KEYSTORE; exit 0", nil, "another program has just changed it"},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			m.Journal = t.TempDir()
			m.Timeout = 10 * time.Second
			keystore := fakeJava(t, &m, real, "")
			script := fmt.Sprintf(onImport, strings.ReplaceAll(test.keytool, "KEYSTORE", quote("linux", keystore)))
			must(t, os.WriteFile(filepath.Join(m.Root, "opt/java/bin/keytool"), []byte("#!/bin/sh\nreal="+real+"\n"+script+"\n"), 0o755))
			before, err := os.ReadFile(keystore)
			must(t, err)
			if name == "somebody else writes" {
				before = append(before, '\n')
			}
			r := m.Install(ctx, root, KindJava)[0]
			if r.Err == nil || r.State == StateTrusted || !strings.Contains(r.Err.Error(), test.said) {
				t.Errorf("%+v", r)
			}
			if test.want != nil && !errors.Is(r.Err, test.want) {
				t.Errorf("%v", r.Err)
			}
			t.Logf("%v\n  next: %s", r.Err, r.Fix)
			after, err := os.ReadFile(keystore)
			if must(t, err); !bytes.Equal(before, after) {
				t.Errorf("the keystore was harmed: %d bytes, then %d", len(before), len(after))
			}
			checkAlone(t, keystore)
			if left := tree(t, m.Journal); left != nil && name != "somebody else writes" {
				t.Errorf("left in the journal's folder: %q", left)
			}
			if r.Fix != "" {
				checkFix(t, r.Fix, root, "changeit\n")
			}
		})
	}
}

func TestJavaKeystoresThatCannotBeRead(t *testing.T) {
	real := realJavas(t)[0]
	for name, test := range map[string]struct {
		spoil func(keystore string) error
		want  error
	}{
		"truncated": {func(k string) error { return os.Truncate(k, 1000) }, ErrDatabase},
		"empty":     {func(k string) error { return os.Truncate(k, 0) }, ErrDatabase},
		"garbage":   {func(k string) error { return os.WriteFile(k, []byte("garbage"), 0o644) }, ErrDatabase},
		"another password": {func(k string) error {
			return exec.Command(filepath.Join(real, "bin/keytool"), "-storepasswd", "-keystore", k, "-storepass", "changeit", "-new", "secret1").Run()
		}, ErrPassword},
		"no keytool": {func(k string) error { return os.Remove(filepath.Join(filepath.Dir(k), "../../bin/keytool")) }, ErrToolMissing},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			keystore := fakeJava(t, &m, real, realKeytool)
			must(t, test.spoil(keystore))
			before, err := os.ReadFile(keystore)
			must(t, err)
			want := StateUnknown
			if test.want == ErrToolMissing {
				want = StateUnavailable
			}
			if r := m.Status(ctx, root, KindJava)[0]; r.State != want || r.Reason == "" || r.Fix == "" {
				t.Errorf("%+v", r)
			}
			var fixes []string
			for _, results := range [][]Result{m.Status(ctx, root, KindJava), m.Install(ctx, root, KindJava), m.Remove(ctx, root, KindJava)} {
				r := results[0]
				fixes = append(fixes, r.Fix)
				if len(fixes) == 1 {
					r.Err = test.want // Status has none
				}
				if !errors.Is(r.Err, test.want) || r.State != want || strings.Contains(r.Fix, "storepass") {
					t.Errorf("%+v", r)
				}
				t.Logf("%v\n  next: %s", r.Err, r.Fix)
			}
			if r := m.Remove(ctx, root, KindJava)[0]; test.want == ErrPassword && !strings.Contains(r.Fix, "-delete -alias "+javaAlias(root)) {
				t.Errorf("the next step of Remove: %q", r.Fix)
			}
			if _, err := m.Roots(ctx, KindJava); !errors.Is(err, test.want) {
				t.Errorf("Roots: %v", err)
			}
			after, err := os.ReadFile(keystore)
			if must(t, err); !bytes.Equal(before, after) {
				t.Error("it was changed")
			}
			checkAlone(t, keystore)
			for _, fix := range fixes[1:] { // which has put it in before it takes it out
				checkFix(t, fix, root, "secret1\nyes\n")
			}
		})
	}
}

func TestJavaEntriesOfOthers(t *testing.T) {
	real := realJavas(t)[0]
	m, root, other, ctx := testMachine(t), newRoot(t), newRoot(t), t.Context()
	keystore := fakeJava(t, &m, real, realKeytool)
	add := func(alias string, r testRoot) {
		t.Helper()
		out, err := exec.CommandContext(ctx, filepath.Join(real, "bin/keytool"), "-importcert", "-noprompt", "-alias", alias,
			"-file", pemFile(t, r), "-keystore", keystore, "-storepass", "changeit").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	add(javaAlias(root.cert), other) // our name, another certificate
	r := m.Install(ctx, root.cert, KindJava)[0]
	if !errors.Is(r.Err, ErrNameTaken) || !strings.Contains(r.Fix, "-delete") {
		t.Errorf("%+v", r)
	}
	defer checkFix(t, r.Fix, root.cert, "changeit\n")
	if roots, err := m.Roots(ctx, KindJava); err != nil || len(roots) != 0 {
		t.Errorf("%d roots, %v", len(roots), err)
	}
	add("debian:"+anchorPrefix(root.cert)+root.cert.SerialNumber.String()+".pem", root) // as Debian's hook does
	add("by-hand", root)
	before := listing(t, real, keystore)
	roots, err := m.Roots(ctx, KindJava)
	must(t, err)
	checkRoots(t, roots, root.cert)
	if r := m.Install(ctx, root.cert, KindJava)[0]; r.Err != nil || r.Changed || r.State != StateTrusted {
		t.Errorf("it is trusted under another name: %+v", r)
	}
	if listing(t, real, keystore) != before {
		t.Error("Install changed what was trusted already")
	}
	if r := m.Remove(ctx, root.cert, KindJava)[0]; r.Err != nil || !r.Changed {
		t.Errorf("%+v", r)
	}
	if r := m.Status(ctx, other.cert, KindJava)[0]; r.State != StateTrusted {
		t.Errorf("the other certificate went, too: %+v", r)
	}
}

func TestJavaRights(t *testing.T) {
	real := realJavas(t)[0]
	if os.Geteuid() != 0 {
		t.Skip("only root can make a keystore of root's")
	}
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	m.RootCommand = "sudo RTCDEV_HOME=/home/kim/x rtcdev certs"
	keystore := fakeJava(t, &m, real, realKeytool)
	m.UID = 1000
	run := m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if filepath.Base(program) == "keytool" && !slices.Contains(args, "-list") {
			t.Errorf("it runs %s %q", program, args)
		}
		return run(ctx, program, args...)
	}
	fix := m.RootCommand + " trust --stores java"
	if r := m.Status(ctx, root, KindJava)[0]; r.State != StateAbsent || !r.NeedsRoot || r.Fix != fix || !strings.Contains(r.Reason, "only root") {
		t.Errorf("%+v", r)
	}
	if r := byName(t, m.Install(ctx, root), "java "+filepath.Join(m.Root, "opt/java")); !r.Skipped || r.Err != nil {
		t.Errorf("nobody asked for it: %+v", r)
	}
	if r := m.Install(ctx, root, KindJava)[0]; !errors.Is(r.Err, ErrNeedsRoot) || r.Fix != fix {
		t.Errorf("%+v", r)
	}
	if r := m.Remove(ctx, root, KindJava)[0]; r.Err != nil || r.Changed || r.Fix != "" {
		t.Errorf("there is nothing to remove: %+v", r)
	}
	m.Run, m.UID = run, 0
	must(t, m.Install(ctx, root, KindJava)[0].Err)
	m.UID = 1000
	if r := m.Remove(ctx, root, KindJava)[0]; !errors.Is(r.Err, ErrNeedsRoot) || r.State != StateTrusted || r.Fix != m.RootCommand+" untrust --stores java" {
		t.Errorf("%+v", r)
	}

	must(t, os.Chown(keystore, 1001, 1001)) // in a folder of root's
	if r := m.Remove(ctx, root, KindJava)[0]; !errors.Is(r.Err, ErrNeedsRoot) {
		t.Errorf("%+v", r)
	}
	must(t, os.Chown(filepath.Dir(keystore), 1001, 1001))
	if r := m.Remove(ctx, root, KindJava)[0]; !errors.Is(r.Err, ErrNotOwner) || r.Fix == "" {
		t.Errorf("%+v", r)
	}
	must(t, os.Chown(filepath.Dir(keystore), 1000, 1000))
	must(t, os.Chown(keystore, 1000, 1000))
	must(t, os.Chmod(keystore, 0o444))
	if r := m.Remove(ctx, root, KindJava)[0]; !errors.Is(r.Err, ErrReadOnly) || r.Fix != "chmod u+w "+keystore {
		t.Errorf("%+v", r)
	}
	must(t, os.Chmod(keystore, 0o644))
	if r := m.Remove(ctx, root, KindJava)[0]; r.Err != nil || !r.Changed {
		t.Errorf("it is the user's own: %+v", r)
	}
}
