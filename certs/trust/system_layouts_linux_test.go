package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// extractTool does what update-ca-trust and SUSE's update-ca-certificates make
// p11-kit do: it writes every certificate from the packages and the anchors into a
// new bundle, each below a comment, and moves that over the old one.
const extractTool = `
[ "$TRANSACTIONAL_UPDATE" != true ] || exit 0
umask 0022
bundle=$(readlink -f "$1"); shift
trap 'rm -f "$bundle.new"' 0
set -e
: >"$bundle.new"
for file in "$@"; do
	[ -f "$file" ] || continue
	grep -q "BEGIN CERTIFICATE" "$file"
	printf '# %s\n' "$(basename "$file")" >>"$bundle.new"
	cat "$file" >>"$bundle.new"
	echo >>"$bundle.new"
done
chmod 0444 "$bundle.new"
mv "$bundle.new" "$bundle"
`

// hashTool makes Fedora's and Arch's folder of single certificates anew.
const hashTool = `
rm -rf "$1"; mkdir -p "$1"
openssl storeutl -noout -text -certs "$2" >/dev/null 2>&1
awk -v dir="$1" '/BEGIN CERT/{n++} n{print >(dir "/cert" n ".pem")}' "$2"
openssl rehash "$1"
`

// distribution builds a whole system's store under a folder, with a base of two
// roots, and the program that rebuilds it. On Debian that is the real one.
func distribution(t *testing.T, l layout) Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the system store needs root")
	}
	need(t, "openssl", "openssl")
	m := testMachine(t)
	m.OS, m.UID, m.Journal, m.WSL = "linux", 0, t.TempDir(), false
	in := func(path string) string { return filepath.Join(m.Root, path) }
	for _, dir := range []string{l.anchors, filepath.Dir(l.bundle), "/usr/share/packaged", "/etc/ssl/certs"} {
		must(t, os.MkdirAll(in(dir), 0o755))
	}
	for _, name := range []string{"one.crt", "two.crt"} {
		must(t, os.WriteFile(in("/usr/share/packaged/"+name), pemBytes(newRoot(t).cert), 0o644))
	}
	extract := fmt.Sprintf("set -- %s %s/*.crt %s/*\n", in(l.bundle), in("/usr/share/packaged"), in(l.anchors)) + extractTool
	var tool string
	switch {
	case l.links != "":
		need(t, "update-ca-certificates", "ca-certificates")
		must(t, os.MkdirAll(in(l.hooks), 0o755))
		must(t, os.WriteFile(in("/etc/ca-certificates.conf"), []byte("# a comment\none.crt\ntwo.crt\n"), 0o644))
		tool = fmt.Sprintf("exec update-ca-certificates --certsconf %s --certsdir %s --localcertsdir %s --etccertsdir %s --hooksdir %s",
			in("/etc/ca-certificates.conf"), in("/usr/share/packaged"), in(l.anchors), in(l.links), in(l.hooks))
	case strings.Contains(l.anchors, "/ca-trust/"): // Fedora
		tool = `[ "$1" = extract ] || exit 2` + "\n" + extract + fmt.Sprintf("set -- %s %s\n", in("/etc/pki/ca-trust/extracted/pem/directory-hash"), in(l.bundle)) + hashTool
	case strings.Contains(l.anchors, "/trust-source/"): // Arch
		must(t, os.MkdirAll(in("/etc/ca-certificates/extracted"), 0o755))
		must(t, os.WriteFile(in("/etc/ca-certificates/extracted/tls-ca-bundle.pem"), nil, 0o444))
		must(t, os.Symlink("../../ca-certificates/extracted/tls-ca-bundle.pem", in(l.bundle)))
		tool = `[ "$1" = extract ] || exit 2` + "\n" + extract + fmt.Sprintf("set -- %s %s\n", in("/etc/ca-certificates/extracted/cadir"), in(l.bundle)) + hashTool
	default: // SUSE
		tool = "[ $# = 0 ] || exit 2\n" + extract
	}
	path := script(t, tool)
	m.LookPath = func(program string) (string, error) {
		if program == l.tool {
			return path, nil
		}
		return "", exec.ErrNotFound
	}
	out, err := exec.CommandContext(t.Context(), path, l.args...).CombinedOutput()
	if err != nil {
		t.Fatalf("the tool: %v: %s", err, out)
	}
	return m
}

// contents lists everything below a folder: mode, and link target or content.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		found[path] = info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			found[path] += " -> " + target
			return err
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			found[path] += fmt.Sprintf(" %x", sha256.Sum256(raw))
			return err
		}
		return nil
	}))
	return found
}

func only(t *testing.T, results []Result) Result {
	t.Helper()
	return byName(t, results, "system")
}

func TestEveryDistribution(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.tool+" "+l.anchors, func(t *testing.T) {
			m, ctx := distribution(t, l), t.Context()
			one, two := newRoot(t).cert, newRoot(t).cert // with one subject
			before := contents(t, m.Root)
			install := func(root *x509.Certificate) {
				t.Helper()
				mask := syscall.Umask(0o077) // a strict account's
				r := only(t, m.Install(ctx, root, KindSystem))
				syscall.Umask(mask)
				if r.Err != nil || r.State != StateTrusted || !r.Changed {
					t.Fatalf("Install: %+v", r)
				}
				here, err := systemStore{m}.layout()
				must(t, err)
				for _, path := range []string{here.anchor(root), here.bundle} {
					if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o444 != 0o444 {
						t.Errorf("others cannot read %s: %v, %v", path, info.Mode(), err)
					}
				}
			}
			remove := func(root *x509.Certificate) {
				t.Helper()
				if r := only(t, m.Remove(ctx, root, KindSystem)); r.Err != nil || r.State != StateAbsent || !r.Changed {
					t.Fatalf("Remove: %+v", r)
				}
			}
			install(one)
			onlyOne := contents(t, m.Root)
			if r := only(t, m.Status(ctx, two, KindSystem)); r.State != StateStale || r.Stale != 1 {
				t.Errorf("an earlier root is in it: %+v", r)
			}
			install(two)
			if r := only(t, m.Status(ctx, two, KindSystem)); r.State != StateTrusted || r.Stale != 1 {
				t.Errorf("both are in it: %+v", r)
			}
			roots, err := m.Roots(ctx, KindSystem)
			must(t, err)
			checkRoots(t, roots, one, two)
			remove(two)
			same(t, onlyOne, contents(t, m.Root))
			remove(one)
			same(t, before, contents(t, m.Root))
			install(one)
			install(two)
			remove(one)
			remove(two)
			same(t, before, contents(t, m.Root))
		})
	}
}

// TestTransactionalUpdate: SUSE's tool puts its work off during one, and says that
// it succeeded.
func TestTransactionalUpdate(t *testing.T) {
	m, root := distribution(t, layouts()[2]), newRoot(t).cert
	t.Setenv("TRANSACTIONAL_UPDATE", "true")
	r := only(t, m.Install(t.Context(), root, KindSystem))
	if r.Err == nil || r.State != StateAbsent || !strings.Contains(r.Err.Error(), "bundle") {
		t.Errorf("%+v", r)
	}
	t.Setenv("TRANSACTIONAL_UPDATE", "")
	if r := only(t, m.Install(t.Context(), root, KindSystem)); r.Err != nil || r.State != StateTrusted {
		t.Errorf("afterwards: %+v", r)
	}
}

// killedHere names, in a copy of this test binary, the folder with what the copy
// shall do before it is killed.
const killedHere = "RTCDEV_TRUST_TEST_KILLED"

// TestKilledHalfWay kills a process of ours, and the distribution's tool, with
// signal 9 at four moments of Install and of Remove. Then the other one or the
// same one is run again.
func TestKilledHalfWay(t *testing.T) {
	if dir := os.Getenv(killedHere); dir != "" {
		beKilled(t, dir)
	}
	for _, moment := range []string{"before the tool", "when it makes the links", "when it moves the bundle", "after the tool"} {
		for _, doing := range []string{"Install", "Remove"} {
			if doing == "Remove" && strings.HasSuffix(moment, "links") {
				continue // it makes none then
			}
			for _, next := range []string{"Install", "Remove"} {
				t.Run(fmt.Sprintf("%s, %s, then %s", doing, moment, next), func(t *testing.T) {
					m, root, ctx := distribution(t, layouts()[1]), newRoot(t).cert, t.Context()
					before := contents(t, m.Root)
					installed := before
					if doing == "Remove" {
						must(t, only(t, m.Install(ctx, root, KindSystem)).Err)
						installed = contents(t, m.Root)
					}
					kill(t, m, root, doing, moment)
					t.Logf("half-way: %+v", only(t, m.Status(ctx, root, KindSystem)))
					for range 2 { // once more changes nothing
						if next == "Install" {
							r := only(t, m.Install(ctx, root, KindSystem))
							if r.Err != nil || r.State != StateTrusted {
								t.Fatalf("%+v", r)
							}
						} else {
							r := only(t, m.Remove(ctx, root, KindSystem))
							if r.Err != nil || r.State != StateAbsent {
								t.Fatalf("%+v", r)
							}
							same(t, before, contents(t, m.Root))
						}
					}
					if next == "Install" && doing == "Remove" {
						same(t, installed, contents(t, m.Root))
					}
					if next == "Install" {
						must(t, only(t, m.Remove(ctx, root, KindSystem)).Err)
						same(t, before, contents(t, m.Root))
					}
					if j, err := m.readJournal(); err != nil || len(j.Stores) != 0 {
						t.Errorf("the journal has %+v, %v", j, err)
					}
				})
			}
		}
	}
}

// kill runs this test in a process that is killed.
func kill(t *testing.T, m Machine, root *x509.Certificate, doing, moment string) {
	t.Helper()
	dir := t.TempDir()
	tool, err := m.LookPath("update-ca-certificates")
	must(t, err)
	// The test binary's number is in the file "pid"; the tool's is its own or its parent's.
	end := "kill -9 $(cat " + dir + "/pid)\n"
	bin := filepath.Join(dir, "bin")
	must(t, os.Mkdir(bin, 0o755))
	wrapper, called := "PATH="+bin+":$PATH exec "+tool, "openssl"
	switch moment {
	case "before the tool":
		wrapper = end
	case "after the tool":
		wrapper = tool + " || exit\n" + end
	case "when it moves the bundle":
		called = "mv"
	}
	must(t, os.WriteFile(filepath.Join(bin, called), []byte("#!/bin/sh\nkill -9 $PPID\n"+end), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\n"+wrapper+"\n"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "root.pem"), pemBytes(root), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "plan"), []byte(strings.Join([]string{doing, m.Root, m.Journal}, "\n")), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledHalfWay$")
	cmd.Env = append(os.Environ(), killedHere+"="+dir)
	cmd.WaitDelay = 10 * time.Second // what it started may outlive it
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGKILL || ctx.Err() != nil {
		t.Fatalf("it should have been killed: %v: %s", err, out)
	}
}

func beKilled(t *testing.T, dir string) {
	plan, err := os.ReadFile(filepath.Join(dir, "plan"))
	must(t, err)
	lines := strings.Split(string(plan), "\n")
	m := testMachine(t)
	m.OS, m.UID, m.WSL, m.Root, m.Journal = "linux", 0, false, lines[1], lines[2]
	m.LookPath = func(string) (string, error) { return filepath.Join(dir, "tool"), nil }
	held, err := readBundle(filepath.Join(dir, "root.pem"))
	must(t, err)
	root, err := x509.ParseCertificate(held[0])
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "pid"), []byte(fmt.Sprint(os.Getpid())), 0o644))
	if lines[0] == "Install" {
		m.Install(t.Context(), root, KindSystem)
	} else {
		m.Remove(t.Context(), root, KindSystem)
	}
	t.Fatal("it lived")
}
