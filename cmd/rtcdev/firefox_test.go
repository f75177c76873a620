//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// firefox is a page in a headless Firefox of its own, driven over WebDriver BiDi
// (https://www.w3.org/TR/webdriver-bidi/). It accepts no certificate that a
// person's Firefox would warn of. Its methods are for one goroutine.
type firefox struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *firefoxLog
	ended chan struct{} // closed when the browser itself has ended
	*bidi
	page string // the browsing context
}

// bidi is the connection that Firefox is driven over.
type bidi struct {
	conn    *websocket.Conn
	calls   int                 // how many commands were sent: each needs an id of its own
	console map[string][]string // the errors and warnings of each browsing context
}

// startFirefox starts Firefox for the person whose home folder this is, without
// any of this process's settings. profile is a folder, made if need be, and gets
// the preferences in its user.js. Without one Firefox takes the profile that it
// would take for that person, and makes it in a home where it never ran; it
// cannot be given preferences then. The browser ends with the test, if not by
// close.
func startFirefox(t *testing.T, home, profile string, prefs map[string]any) *firefox {
	t.Helper()
	args := []string{"--headless", "--remote-debugging-port=0"}
	switch {
	case profile != "":
		writeFirefoxPrefs(t, profile, prefs)
		args = append(args, "--profile", profile)
	case prefs != nil:
		t.Fatal("Firefox takes preferences from a profile: name its folder")
	}
	f := &firefox{t: t, log: &firefoxLog{listens: make(chan string, 1)}, ended: make(chan struct{})}
	f.cmd = exec.Command(need(t, "firefox-esr", "firefox-esr"), args...)
	f.cmd.Dir = home
	f.cmd.Env = []string{"HOME=" + home, "TMPDIR=" + tempDir(t), "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	f.cmd.Stdout, f.cmd.Stderr = f.log, f.log
	f.cmd.WaitDelay = 10 * time.Second                      // for a child that keeps the output open
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its content processes
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.ended)
		_ = f.cmd.Wait() // how it ended is not what a test is about
	}()
	t.Cleanup(f.close)
	f.connect()
	return f
}

// connect waits until Firefox listens, and opens a page.
func (f *firefox) connect() {
	f.t.Helper()
	var address string
	select {
	case address = <-f.log.listens:
	case <-f.ended:
		f.t.Fatalf("Firefox ended before it could be driven\n%s", f.log)
	case <-time.After(patience):
		f.t.Fatalf("Firefox does not say where it listens\n%s", f.log)
	}
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	conn, _, err := dialer.Dial(address+"/session", nil)
	if err != nil {
		f.t.Fatalf("connecting to Firefox: %v\n%s", err, f.log)
	}
	f.bidi = &bidi{conn: conn, console: make(map[string][]string)}
	type object = map[string]any
	if err := f.call("session.new", object{"capabilities": object{"alwaysMatch": object{"acceptInsecureCerts": false}}}, nil); err != nil {
		f.t.Fatal(err)
	}
	if err := f.call("session.subscribe", object{"events": []string{"log.entryAdded"}}, nil); err != nil {
		f.t.Fatal(err)
	}
	if f.page, err = f.newTab(); err != nil {
		f.t.Fatal(err)
	}
}

// newTab returns the browsing context of a new tab.
func (f *firefox) newTab() (string, error) {
	var created struct{ Context string }
	err := f.call("browsingContext.create", map[string]any{"type": "tab"}, &created)
	return created.Context, err
}

// another shows another page, in a tab of its own.
func (f *firefox) another() (*firefox, error) {
	page, err := f.newTab()
	return &firefox{t: f.t, cmd: f.cmd, log: f.log, ended: f.ended, bidi: f.bidi, page: page}, err
}

// trouble returns what the page's console has shown of errors and warnings.
func (f *firefox) trouble() []string {
	if err := f.call("session.status", map[string]any{}, nil); err != nil { // reads what came before
		return []string{err.Error()}
	}
	return f.console[f.page]
}

// heard keeps what a console shows.
func (b *bidi) heard(method string, params json.RawMessage) {
	var entry struct {
		Level, Text string
		Source      struct{ Context string }
	}
	if method != "log.entryAdded" || json.Unmarshal(params, &entry) != nil || entry.Level != "warn" && entry.Level != "error" {
		return
	}
	b.console[entry.Source.Context] = append(b.console[entry.Source.Context], entry.Level+": "+entry.Text)
}

// call sends a command and waits for its answer, whose result it decodes.
func (f *firefox) call(method string, params map[string]any, result any) error {
	f.calls++
	command := map[string]any{"id": f.calls, "method": method, "params": params}
	deadline := time.Now().Add(patience)
	if err := errors.Join(f.conn.SetWriteDeadline(deadline), f.conn.SetReadDeadline(deadline), f.conn.WriteJSON(command)); err != nil {
		return fmt.Errorf("asking Firefox for %s: %w", method, err)
	}
	for {
		var answer struct {
			ID             int
			Type           string
			Error, Message string
			Result         json.RawMessage
			Method         string
			Params         json.RawMessage
		}
		if err := f.conn.ReadJSON(&answer); err != nil {
			return fmt.Errorf("waiting for Firefox to answer %s: %w\n%s", method, err, f.log)
		}
		switch {
		case answer.ID != f.calls:
			f.heard(answer.Method, answer.Params)
		case answer.Type != "success":
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}

// navigate shows url, and returns once it is loaded. The error is that of a page
// which did not load, such as one whose certificate Firefox refused; what
// evaluate sees then is the page that says so.
func (f *firefox) navigate(url string) error {
	return f.call("browsingContext.navigate", map[string]any{"context": f.page, "url": url, "wait": "complete"}, nil)
}

// evaluate runs JavaScript in the page, awaits its promise, and returns its
// value, which must be a string.
func (f *firefox) evaluate(js string) (string, error) {
	var answer struct {
		Type             string
		Result           struct{ Type, Value any }
		ExceptionDetails struct{ Text string }
	}
	params := map[string]any{"expression": js, "awaitPromise": true, "target": map[string]any{"context": f.page}}
	if err := f.call("script.evaluate", params, &answer); err != nil {
		return "", err
	}
	value, ok := answer.Result.Value.(string)
	switch {
	case answer.Type != "success":
		return "", fmt.Errorf("evaluating %s: %s", js, answer.ExceptionDetails.Text)
	case !ok:
		return "", fmt.Errorf("evaluating %s: the value is a %v, not a string", js, answer.Result.Type)
	}
	return value, nil
}

// close lets Firefox end as its Quit does, so that it writes down what it keeps
// in the profile, and ends it by force if it does not.
func (f *firefox) close() {
	if f.bidi != nil {
		_ = f.call("browser.close", map[string]any{}, nil) // if it has ended already, so much the better
		_ = f.conn.Close()
		f.bidi = nil
		select {
		case <-f.ended:
		case <-time.After(patience / 2):
			f.t.Errorf("Firefox does not end\n%s", f.log)
		}
	}
	_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL) // what is left of its group
	<-f.ended
}

// firefoxLog is what Firefox prints.
type firefoxLog struct {
	syncBuffer
	once    sync.Once
	listens chan string // gets the address at which Firefox can be driven
}

func (l *firefoxLog) Write(p []byte) (int, error) {
	n, err := l.syncBuffer.Write(p)
	if found := regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)\n`).FindStringSubmatch(l.String()); found != nil {
		l.once.Do(func() { l.listens <- found[1] })
	}
	return n, err
}

// quietFirefox keeps Firefox from talking to anybody but the page.
func quietFirefox() map[string]any {
	return map[string]any{
		"app.normandy.enabled":                                       false,
		"app.update.disabledForTesting":                              true,
		"browser.aboutwelcome.enabled":                               false,
		"browser.newtabpage.enabled":                                 false,
		"browser.region.network.url":                                 "",
		"browser.safebrowsing.downloads.enabled":                     false,
		"browser.safebrowsing.malware.enabled":                       false,
		"browser.safebrowsing.phishing.enabled":                      false,
		"browser.search.update":                                      false,
		"browser.shell.checkDefaultBrowser":                          false,
		"browser.startup.homepage_override.mstone":                   "ignore",
		"browser.startup.page":                                       0,
		"datareporting.policy.dataSubmissionEnabled":                 false,
		"dom.push.connection.enabled":                                false,
		"extensions.getAddons.cache.enabled":                         false,
		"extensions.systemAddon.update.enabled":                      false,
		"extensions.update.enabled":                                  false,
		"geo.provider.network.url":                                   "",
		"media.gmp-manager.updateEnabled":                            false,
		"network.captive-portal-service.enabled":                     false,
		"network.connectivity-service.enabled":                       false,
		"network.trr.mode":                                           5, // no DNS over HTTPS
		"services.settings.server":                                   "data:,#remote-settings-dummy/v1",
		"toolkit.telemetry.enabled":                                  false,
		"toolkit.telemetry.server":                                   "",
		"browser.newtabpage.activity-stream.feeds.telemetry":         false,
		"browser.newtabpage.activity-stream.feeds.system.topstories": false,
	}
}

// writeFirefoxPrefs writes the profile's user.js, which Firefox reads at every
// start.
func writeFirefoxPrefs(t *testing.T, profile string, prefs map[string]any) {
	t.Helper()
	all := quietFirefox()
	for name, value := range prefs {
		all[name] = value
	}
	var lines []string
	for name, value := range all {
		v, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("user_pref(%q, %s);\n", name, v))
	}
	slices.Sort(lines)
	file := filepath.Join(profile, "user.js")
	if err := errors.Join(os.MkdirAll(profile, 0o700), os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// A Firefox that knows nothing of an authority refuses it, and the same one with
// the root in its profile shows the page: whoever drives it can tell the two.
func TestFirefoxTellsTrust(t *testing.T) {
	certutil := need(t, "certutil", "libnss3-tools")
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	root := filepath.Join(a.home, ".local", "share", "rtcdev", "authority", "root.pem")

	f := startFirefox(t, a.home, "", nil) // makes its profile
	if err := f.navigate(s.ready.URL); err == nil || !strings.Contains(err.Error(), "SEC_ERROR_UNKNOWN_ISSUER") {
		t.Errorf("without trust the page ends with %v", err)
	}
	f.close()
	// Firefox 147 moved its profiles to the second of these folders.
	for _, dir := range []string{".mozilla", ".config/mozilla"} {
		databases, _ := filepath.Glob(filepath.Join(a.home, dir, "firefox", "*", "cert9.db"))
		for _, db := range databases {
			add := a.command(certutil, "-A", "-d", "sql:"+filepath.Dir(db), "-n", "root", "-t", "C,,", "-i", root)
			if out, err := add.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}
	f = startFirefox(t, a.home, "", nil)
	if err := f.navigate(s.ready.URL); err != nil {
		t.Errorf("with trust the page ends with %v", err)
	}
	if title, err := f.evaluate("document.title"); err != nil || title == "" {
		t.Errorf("the page's title is %q, %v", title, err)
	}
}
