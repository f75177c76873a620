package trust

import (
	"context"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkFix checks that the next step is either prose that no shell takes for a
// command, or one command that works when it is pasted. It is run: every path in
// it is a test's, and rtcdev and sudo are not the real ones. It reads typed.
func checkFix(t *testing.T, fix string, root *x509.Certificate, typed string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // its commands are another shell's
	}
	bash := need(t, "bash", "bash")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bin, dir := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{
		"sudo": "#!/bin/sh\nexec env \"$@\"\n",
		"rtcdev": "#!/bin/sh\nfor last; do :; done\n" +
			"case \"$*\" in *' -o '*) cp \"${0%/*}/root.pem\" \"$last\";; *' export '*) cat \"${0%/*}/root.pem\";; esac\n",
		"root.pem": string(pemBytes(root)),
	} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte(content), 0o755))
	}
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, bash, args...)
		cmd.Dir, cmd.Stdin, cmd.WaitDelay = dir, strings.NewReader(typed), time.Second
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TMPDIR=" + dir}
		return cmd.CombinedOutput()
	}
	first, _, _ := strings.Cut(fix, " ")
	_, err := run("-c", `type -- "$1"`, "bash", first)
	if isCommand := err == nil || slices.Contains([]string{"make", "free", "see"}, first) || strings.ContainsAny(first, `/'"=`); !isCommand {
		if first == "" {
			t.Error("there is no next step")
		}
		return
	}
	if out, err := run("-c", fix); err != nil {
		t.Errorf("this was pasted: %s\n%v: %s", fix, err, out)
	}
}

// TestFixesThatCannotBePasted is the test of checkFix.
func TestFixesThatCannotBePasted(t *testing.T) {
	if os.Getenv(inFixTest) != "" {
		checkFix(t, os.Getenv(inFixTest), newRoot(t).cert, "")
		return
	}
	need(t, "bash", "bash")
	for fix, want := range map[string]bool{
		"run the same command without sudo": true,
		"sudo ls -la /":                     true,
		"sudo RTCDEV_HOME='/a b' rtcdev certs trust --stores java":             true,
		"rtcdev certs export --format der | base64 -w 0":                       true,
		"rtcdev certs export --format der | base64 -w 0, and add that to /x":   false,
		"make room or give write access in /":                                  false,
		"ls -la /no/such/file":                                                 false,
		"/bin/ls 'x":                                                           false,
		"rtcdev certs export -o x && cat x && rtcdev certs export -o /no/such": false,
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFixesThatCannotBePasted$")
		cmd.Env = append(os.Environ(), inFixTest+"="+fix)
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("%q: %v %s", fix, err, out)
		}
	}
}

const inFixTest = "RTCDEV_TRUST_TEST_FIX"
