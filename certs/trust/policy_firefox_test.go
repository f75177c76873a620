//go:build linux

package trust

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestPolicyFirefox is the proof with the real browser and its real paths, and of
// what a person has to know: a profile keeps the root when the policy goes.
func TestPolicyFirefox(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	need(t, "firefox-esr", "firefox-esr")
	inNamespaceOfOwn(t, func(t *testing.T) {
		m, root, ctx := policyAccount(t), newRoot(t), t.Context()
		url := root.serve(t)
		before := folders(t, "/etc/chromium", "/etc/opt", "/etc/firefox", "/etc/firefox-esr")
		policyFirefox(t, t.TempDir(), url, false)

		r := byName(t, m.Install(ctx, root.cert, KindPolicy), "policy firefox")
		if r.Err != nil || r.State != StateTrusted || !r.Changed || !r.Made {
			t.Fatalf("%+v", r)
		}
		policyFirefox(t, m.Home, url, true)
		r = byName(t, m.Remove(ctx, root.cert, KindPolicy), "policy firefox")
		if r.Err != nil || r.State != StateAbsent || !strings.Contains(r.Note, "keeps the root") {
			t.Errorf("%+v", r)
		}
		same(t, before, folders(t, "/etc/chromium", "/etc/opt", "/etc/firefox", "/etc/firefox-esr"))
		policyFirefox(t, t.TempDir(), url, false) // a profile that never saw the policy

		policyFirefox(t, m.Home, url, true) // as the note says
		m.LookPath = exec.LookPath
		for _, r := range m.Remove(ctx, root.cert, KindFirefox) {
			if r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		policyFirefox(t, m.Home, url, false)
	})
}

// TestPolicyFirefoxBesideOthers: in a file of somebody else both count, theirs
// and ours.
func TestPolicyFirefoxBesideOthers(t *testing.T) {
	need(t, "firefox-esr", "firefox-esr")
	inNamespaceOfOwn(t, func(t *testing.T) {
		m, theirs, root, ctx := policyAccount(t), newRoot(t), newRootFor(t, "localhost"), t.Context()
		their := filepath.Join(t.TempDir(), "their.pem")
		writeFile(t, their, string(pemBytes(theirs.cert)))
		writeFile(t, "/etc/firefox/policies/policies.json", fmt.Sprintf("{\n \"policies\": {\n  \"Certificates\": {\n   \"Install\": [\n    %q\n   ]\n  }\n }\n}\n", their))
		forged := newRootFor(t, "example.test")
		before := folders(t, "/etc/firefox")
		for _, r := range []testRoot{root, forged} {
			checkAll(t, m.Install(ctx, r.cert, KindPolicy), StateTrusted)
		}
		policyFirefox(t, t.TempDir(), theirs.serve(t), true)
		policyFirefox(t, t.TempDir(), root.serve(t), true)
		policyFirefox(t, t.TempDir(), forged.serve(t), false)
		for _, r := range []testRoot{root, forged} {
			checkAll(t, m.Remove(ctx, r.cert, KindPolicy), StateAbsent)
		}
		same(t, before, folders(t, "/etc/firefox"))
	})
}

// policyFirefox loads url in the Firefox of an account, driven over WebDriver BiDi
// (https://www.w3.org/TR/webdriver-bidi/), and checks that the page came, or was
// refused because of its certificate and nothing else.
func policyFirefox(t *testing.T, home, url string, trusted bool) {
	t.Helper()
	cmd := exec.Command("firefox-esr", "--headless", "--remote-debugging-port=0")
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	log := &policyFirefoxLog{listens: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = log, log, 10*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its content processes
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is not what the test is about
	}()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of its group
		<-ended
	}()
	var address string
	select {
	case address = <-log.listens:
	case <-ended:
		t.Fatalf("Firefox ended before it could be driven\n%s", log)
	case <-time.After(2 * time.Minute):
		t.Fatalf("Firefox does not say where it listens\n%s", log)
	}
	conn, _, err := websocket.DefaultDialer.Dial(address+"/session", nil)
	must(t, err)
	defer conn.Close()

	calls := 0
	call := func(method string, params map[string]any, result any) string {
		t.Helper()
		calls++
		must(t, conn.SetReadDeadline(time.Now().Add(2*time.Minute)))
		must(t, conn.WriteJSON(map[string]any{"id": calls, "method": method, "params": params}))
		for {
			var answer struct {
				ID      int
				Message string
				Result  json.RawMessage
			}
			if err := conn.ReadJSON(&answer); err != nil {
				t.Fatalf("waiting for Firefox to answer %s: %v\n%s", method, err, log)
			}
			if answer.ID == calls {
				if result != nil && answer.Message == "" {
					must(t, json.Unmarshal(answer.Result, result))
				}
				return answer.Message
			}
		}
	}
	if failed := call("session.new", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": false}}}, nil); failed != "" {
		t.Fatal(failed)
	}
	var created struct{ Context string }
	call("browsingContext.create", map[string]any{"type": "tab"}, &created)
	failed := call("browsingContext.navigate", map[string]any{"context": created.Context, "url": url, "wait": "complete"}, nil)
	refused := strings.Contains(failed, "SEC_ERROR_UNKNOWN_ISSUER") || strings.Contains(failed, "SEC_ERROR_CERT_NOT_IN_NAME_SPACE")
	switch {
	case trusted && failed != "":
		t.Errorf("Firefox refused a root it should trust: %s", failed)
	case !trusted && !refused:
		t.Errorf("Firefox should refuse because of the certificate: %q", failed)
	}
	call("browser.close", map[string]any{}, nil) // so that it writes its profile
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Errorf("Firefox does not end\n%s", log)
	}
}

// policyFirefoxLog is what Firefox prints.
type policyFirefoxLog struct {
	mu      sync.Mutex
	said    bytes.Buffer
	once    sync.Once
	listens chan string // gets the address at which Firefox can be driven
}

func (l *policyFirefoxLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said.Write(p)
	if found := regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)\n`).FindStringSubmatch(l.said.String()); found != nil {
		l.once.Do(func() { l.listens <- found[1] })
	}
	return len(p), nil
}

func (l *policyFirefoxLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
