package certs

import (
	"crypto/tls"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNSSImportsPKCS12 has the library of Firefox import each kind of leaf, and
// say what it is good for when the root is trusted.
func TestNSSImportsPKCS12(t *testing.T) {
	a := newTestAuthority(t, Options{})
	root := writeTestFile(t, "root.pem", encodePEM(blockCertificate, a.Root().Raw))
	leaves := clientLeaves(t, a)
	leaves["server"] = issue(t, a.Issue, "localhost")
	leaves["forged"] = forgeClient(t, a, "accounts.google.com")
	for kind, leaf := range leaves {
		t.Run(kind, func(t *testing.T) {
			db := "sql:" + t.TempDir()
			nssTool(t, "certutil", "-N", "-d", db, "--empty-password")
			nssTool(t, "certutil", "-A", "-d", db, "-n", "root", "-t", "CT,,", "-i", root)
			p12, err := EncodePKCS12(leaf, "secret")
			must(t, err)
			if out, err := nssTool(t, "pk12util", "-i", writeTestFile(t, "leaf.p12", p12), "-d", db, "-W", "secret"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			nick := nickOfKey(t, db, leaf)
			for usage, want := range map[string]bool{"C": kind != "server" && kind != "forged", "V": kind == "server"} { // client, server
				if out, err := nssTool(t, "certutil", "-V", "-d", db, "-e", "-u", usage, "-n", nick); (err == nil) != want {
					t.Errorf("good for %s: %v, want %v\n%s", usage, err == nil, want, out)
				}
			}
		})
	}
}

// nickOfKey returns the name of the only entry with a key, which begins with the
// common name if there is one. The intermediate came along, without trust.
func nickOfKey(t *testing.T, db string, leaf *tls.Certificate) string {
	t.Helper()
	out, err := nssTool(t, "certutil", "-L", "-d", db)
	must(t, err)
	nick, intermediate := "", false
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		intermediate = intermediate || strings.HasPrefix(line, "rtcdev local intermediate ") && strings.HasSuffix(line, " ,,")
		if name, found := strings.CutSuffix(line, "u,u,u"); found {
			nick = strings.TrimSpace(name)
		}
	}
	if nick == "" || !intermediate || !strings.HasPrefix(nick, leaf.Leaf.Subject.CommonName) {
		t.Fatalf("the database holds\n%s", out)
	}
	return nick
}

func nssTool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		needTool(t, "libnss3-tools", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}
