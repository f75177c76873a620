//go:build unix

package trust

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFirefox is the proof that Firefox reads the profiles that firefoxStores
// names, and takes the first one that Install makes: a page of the root is
// accepted, refused. Each start of Firefox takes seconds.
func TestFirefox(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	program := need(t, "firefox-esr", "firefox-esr")
	root := newRoot(t)

	t.Run("a fresh account", func(t *testing.T) {
		m, ctx := withFirefox(journalled(t)), t.Context()
		results := m.Install(ctx, root.cert, KindFirefox)
		if len(results) != 1 || !Trusted(results) || results[0].Note == "" {
			t.Fatalf("%+v", results)
		}
		for range 2 { // it takes the profile at its first start, and keeps it
			firefoxLoads(t, program, m, root, true)
		}
		profiles := profilesIn(filepath.Join(m.Home, ".config/mozilla/firefox"))
		if len(profiles) != 1 || filepath.Base(profiles[0]) != firstProfileName {
			t.Errorf("Firefox has the profiles %q", profiles)
		}
		checkReadBack(t, m.Install(ctx, root.cert, KindFirefox), m.Status(ctx, root.cert, KindFirefox))
		was := tree(t, m.Home)
		checkAll(t, m.Remove(ctx, root.cert, KindFirefox), StateAbsent)
		if now := tree(t, m.Home); !slices.Equal(now, was) || !slices.Contains(now, ".config/mozilla/firefox/rtcdev.default/prefs.js") {
			t.Errorf("the person's profile lost files: was %q, is %q", was, now)
		}
		if left := tree(t, m.Journal); left != nil {
			t.Errorf("left in the journal's folder: %q", left)
		}
		firefoxLoads(t, program, m, root, false)
	})

	t.Run("an account whose Firefox ran before", func(t *testing.T) {
		m, ctx := withFirefox(journalled(t)), t.Context()
		firefoxLoads(t, program, m, root, false)
		var before []string
		profiles := profilesIn(filepath.Join(m.Home, ".config/mozilla/firefox"))
		for _, dir := range profiles { // one is in use; Firefox makes another that it never uses
			before = append(before, profileListing(t, dir))
		}
		results := m.Install(ctx, root.cert, KindFirefox)
		if len(results) != len(profiles) || len(results) < 2 || !Trusted(results) {
			t.Fatalf("%q: %+v", profiles, results)
		}
		firefoxLoads(t, program, m, root, true)
		checkAll(t, m.Remove(ctx, root.cert, KindFirefox), StateAbsent)
		for i, dir := range profiles {
			if now := profileListing(t, dir); now != before[i] {
				t.Errorf("%s was\n%s\nand is\n%s", dir, before[i], now)
			}
		}
		firefoxLoads(t, program, m, root, false)
	})
}

// profileListing is what a profile's database holds, or "" without one.
func profileListing(t *testing.T, dir string) string {
	t.Helper()
	if !exists(filepath.Join(dir, "cert9.db")) {
		return ""
	}
	// certutil -K fails when there is no key, which is said on stderr.
	keys, _ := exec.CommandContext(t.Context(), "certutil", "-K", "-d", "sql:"+dir, "-f", os.DevNull).CombinedOutput()
	return certutil(t, dir, "-L") + string(keys)
}

// withFirefox lets the machine see the Firefox that is installed.
func withFirefox(m Machine) Machine {
	m.LookPath = exec.LookPath
	return m
}

// firefoxLoads starts the Firefox of m's account with a page of root, and checks
// that it asks for the page, or ends the handshake because it does not know root.
func firefoxLoads(t *testing.T, program string, m Machine, root testRoot, trusted bool) {
	t.Helper()
	asked, refused := make(chan struct{}, 100), make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	server.Config.ErrorLog = log.New(lineWriter(refused), "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{root.leaf(t)}}
	server.StartTLS()
	defer server.Close()

	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), program, "--headless", fmt.Sprintf("https://localhost:%d/", server.Listener.Addr().(*net.TCPAddr).Port))
	cmd.Env = []string{"HOME=" + m.Home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its content processes
	cmd.WaitDelay = 5 * time.Second
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is not what the test is about
	}()
	defer func() {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM) // as its Quit
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}()
	select {
	case <-asked:
		if !trusted {
			t.Error("Firefox accepted a root it should not trust")
		}
	case why := <-refused:
		if trusted || !strings.Contains(why, "unknown certificate authority") {
			t.Errorf("Firefox should accept: %t; it ended the handshake: %s", trusted, why)
		}
	case <-ended:
		t.Fatalf("Firefox ended: %s", &said)
	case <-time.After(2 * time.Minute):
		t.Fatal("Firefox does not come")
	}
}

// lineWriter passes on what is written, as far as there is room.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	if slices.Contains(p, '\n') {
		select {
		case w <- string(p):
		default:
		}
	}
	return len(p), nil
}
