package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"
)

var screenshots = flag.String("screenshots", "", "folder to write screenshots of the call to")

// From `rtcdev init` to a call: the README's own commands, two browsers of an
// account that was fresh before `certs trust`.
func TestCallInAFolderOfInit(t *testing.T) {
	a := newAccount(t)
	a.trust()
	a.run(a.home, "init", "my-call", "--no-install")
	s := a.serve(filepath.Join(a.home, "my-call"), "--port", "0")
	if s.ready.BuiltIn {
		t.Error("the folder of init is taken for an empty one")
	}
	first, second := call(a, s)
	if *screenshots != "" {
		first.screenshot(filepath.Join(*screenshots, "call.png"), 1280, 800)
		second.screenshot(filepath.Join(*screenshots, "call-phone.png"), 390, 844)
	}

	third := a.open(s.ready.Room)
	third.wait(`document.querySelector("#status").textContent.includes("full")`)
	third.wantQuietConsole()

	// A camera that is off looks like a dark room: the other side is told.
	do(first, "switching the camera off", chromedp.Click("#cameraButton"))
	second.wait(`!document.querySelector("#noPicture").hidden`)
	do(first, "switching the camera on", chromedp.Click("#cameraButton"))
	second.wait(`document.querySelector("#noPicture").hidden`)
	second.wantVideo()

	// Hanging up ends it for both, and there is a way back.
	do(second, "hanging up", chromedp.Click("#hangupButton"))
	first.wait(`document.querySelector("#cardTitle").textContent !== "" && !document.querySelector("#card").hidden`)
	do(second, "joining again", chromedp.SendKeys("#cardButtons button", "\r"))
	if at := eval[string](second, "document.activeElement.id || document.activeElement.tagName"); at == "BODY" {
		t.Error("the keyboard's place is lost with the card")
	}
	second.wantVideo()
	first.wantVideo()

	first.wantQuietConsole()
	second.wantQuietConsole()
	if took := s.interrupt(); took > stopLimit {
		t.Errorf("the server took %v to stop during a call", took)
	}
}

// call opens the room in two browsers and checks that it is a call.
func call(a *account, s *server) (first, second *tab) {
	a.t.Helper()
	first = a.open(s.ready.Room)
	s.event("peer-joined")
	second = a.open(s.ready.Room)
	s.event("peer-joined")
	first.wantVideo()
	second.wantVideo()
	first.chat(second, "hello from the first")
	second.chat(first, "안녕 from the second")
	return first, second
}

// An empty folder becomes a call as well, and the call outlives its server: the
// media goes on while there is none, and the pages find the next one.
func TestCallInAnEmptyFolderSurvivesTheServer(t *testing.T) {
	a := newAccount(t)
	a.trust()
	dir := a.emptyFolder("empty")
	s := a.serve(dir, "--port", "0")
	if !s.ready.BuiltIn {
		t.Error("the built-in app is not announced")
	}
	first, second := call(a, s)
	first.wantQuietConsole()
	second.wantQuietConsole()

	users := map[*tab]string{first: eval[string](first, iceUser), second: eval[string](second, iceUser)}
	s.kill()
	first.wantVideo()
	second.wantVideo()

	s = a.serve(dir, "--port", port(s.ready.Port), "--strict-port")
	s.event("peer-joined")
	s.event("peer-joined")
	first.wantVideo()
	second.wantVideo()
	// The one connection of before is negotiated anew, over the new line.
	for _, p := range []*tab{first, second} {
		p.wait(fmt.Sprintf(`testPCs[0].signalingState === "stable" && %s !== %q`, iceUser, users[p]))
		if n := eval[int](p, "testPCs.length"); n != 1 {
			t.Errorf("the page made %d peer connections; the first one should have lived on", n)
		}
		p.wantQuietConsole("net::ERR_CONNECTION_REFUSED") // the failed attempts meanwhile
	}
	first.chat(second, "still here")

	// When the other one leaves while there is no server, the page says that it
	// waits for the server; a new call begins once both are back.
	s.kill()
	do(second, "leaving", chromedp.Navigate("about:blank"))
	first.wait(`document.body.dataset.state === "left" && document.querySelector("#statusText").textContent.includes("server")`)
	s = a.serve(dir, "--port", port(s.ready.Port), "--strict-port")
	do(second, "coming back", chromedp.Navigate(s.ready.Room))
	second.wantVideo()
	first.wantVideo()

	// A reload of one side is a new call on the same link.
	do(second, "reloading", chromedp.Reload())
	second.wantVideo()
	first.wantVideo()
	second.chat(first, "back again")
}

// iceUser is the name that the page's first connection gives itself for the
// other side's checks (RFC 8839 §5.4), and theirUser the one it knows of the other
// side: both are new after every ICE restart.
const (
	iceUser   = `testPCs[0].localDescription.sdp.match(/a=ice-ufrag:(.*)/)[1].trim()`
	theirUser = `testPCs[0].remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1].trim()`
)

// Perfect negotiation: offers that cross again and again leave one connection on
// whose state both sides agree. The line is slow, so that they do cross.
func TestOffersThatCross(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	first, second := call(a, s)
	both := []*tab{first, second}
	for _, p := range both {
		eval[bool](p, `{
			const send = WebSocket.prototype.send;
			WebSocket.prototype.send = function (data) { setTimeout(() => send.call(this, data), 300); };
		} true`)
	}
	for round := range 5 {
		before := eval[string](first, iceUser)
		for _, p := range both {
			eval[bool](p, `testPCs[0].restartIce(), true`)
		}
		eventually(t, fmt.Sprintf("round %d: both agree", round), func() error {
			one, two := eval[string](first, iceUser), eval[string](second, iceUser)
			state := eval[string](first, "testPCs[0].signalingState") + eval[string](second, "testPCs[0].signalingState")
			if one == before || state != "stablestable" || eval[string](second, theirUser) != one || eval[string](first, theirUser) != two {
				return fmt.Errorf("%s: one is %s (was %s), two %s", state, one, before, two)
			}
			return nil
		})
	}
	for _, p := range both {
		p.wantVideo()
		p.wantQuietConsole()
		if n := eval[int](p, "testPCs.length"); n != 1 {
			t.Errorf("the page made %d peer connections", n)
		}
	}
}

// What another program sends, or a channel that only closes, ends no call.
func TestForeignMessages(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	p := a.open(s.ready.Room)
	p.wait(`document.body.dataset.state === "waiting"`)

	// A page of another kind in the same room: it sends what nobody expects.
	other := a.open(s.ready.URL + "messages.js")
	eval[bool](other, `new Promise((done) => {
		const socket = window.socket = new WebSocket("wss://" + location.host + "/_rtcdev/signal?room=lobby");
		socket.onmessage = () => {
			for (const data of [null, 5, "hello", {}, { description: {} }, { description: null }, { candidate: 7 },
				{ description: { type: "answer", sdp: "v=0" } }])
				socket.send(JSON.stringify({ type: "signal", data }));
			socket.onmessage = null;
			setTimeout(() => { socket.close(); done(true); }, 500);
		};
	})`)
	p.wait(`document.body.dataset.state === "left"`)

	do(other, "joining properly", chromedp.Navigate(s.ready.Room))
	other.wantVideo()
	p.wantVideo()
	p.wait(`document.querySelector("#statusText").textContent === "Connected"`)
	first, second := p, other
	first.chat(second, "still here")
}

// The app connects two, also where the server lets more into a room.
func TestThirdPersonInALargeRoom(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--room-size", "4")
	first, second := call(a, s)
	third := a.open(s.ready.Room)
	third.wait(`document.querySelector("#cardTitle").textContent.includes("Two people")`)
	first.wantVideo()
	second.wantVideo()
	third.wantQuietConsole()
}

// Learners make mistakes all the time, with the console closed.
func TestScriptErrorsAreShownOnThePage(t *testing.T) {
	a := newAccount(t)
	a.trust()
	a.run(a.home, "init", "my-call", "--no-install")
	script := filepath.Join(a.home, "my-call", "index.js")
	good, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	s := a.serve(filepath.Join(a.home, "my-call"), "--port", "0")
	p := a.startBrowser()
	for mistake, shown := range map[string]string{
		"const = 1;": "has not started",
		"setTimeout(() => { throw new Error('a slip'); });": "a slip",
		"await Promise.reject(new Error('refused'));":       "refused",
	} {
		if err := os.WriteFile(script, append([]byte(mistake+"\n"), good...), 0o644); err != nil {
			t.Fatal(err)
		}
		do(p, "opening the page", chromedp.Navigate(s.ready.Room))
		p.wait(fmt.Sprintf(`document.querySelector("#status").textContent.includes(%q)`, shown))
	}
}

// Without trust the browser must refuse: else the tests above show nothing.
func TestBrowserRefusesWithoutTrust(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	p := a.startBrowser()
	if _, err := chromedp.Run(p.ctx, chromedp.Navigate(s.ready.URL)); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("opening the page ends with %v", err)
	}
}

// webrtc-adapter is used when npm install has brought it.
func TestAdapterIsUsedWhenInstalled(t *testing.T) {
	need(t, "npm", "npm")
	a := newAccount(t)
	a.trust()
	// npm's own settings (its registry among them) come from the real account.
	npmrc, err := exec.Command("npm", "config", "get", "userconfig").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NPM_CONFIG_USERCONFIG", strings.TrimSpace(string(npmrc)))
	cmd := a.command("rtcdev", "init", "my-call")
	cmd.Env = append(os.Environ(), "HOME="+a.home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	adapter, err := os.ReadFile(filepath.Join(a.home, "my-call", "adapter.js"))
	if err != nil || len(adapter) < 10_000 {
		t.Fatalf("adapter.js has %d bytes, %v", len(adapter), err)
	}
	s := a.serve(filepath.Join(a.home, "my-call"), "--port", "0")
	p := a.open(s.ready.Room)
	p.wait(`window.adapter && adapter.browserDetails.browser === "chrome"`)
	s.event("peer-joined")
	p.wantQuietConsole()
}

func TestHealthOverTheRealProgram(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	client := trustingClient(t, filepath.Join(a.home, ".local", "share", "rtcdev", "authority", "root.pem"))
	for _, host := range []string{"localhost", "127.0.0.1", "app.localhost"} {
		resp, err := client.Get(fmt.Sprintf("https://%s:%d/_rtcdev/health", host, s.ready.Port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
	if took := s.interrupt(); took > stopLimit {
		t.Errorf("the server took %v to stop", took)
	}
}

// Whoever has read the first line of the events may go: the server stays.
func TestServeOutlivesItsReader(t *testing.T) {
	a := newAccount(t)
	cmd := a.command("rtcdev", "serve", "--json", "--trust=no", "--port", "0")
	cmd.Dir = a.emptyFolder("empty")
	var log syncBuffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var ready struct{ Port int }
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	stdout.Close()

	root := filepath.Join(a.home, ".local", "share", "rtcdev", "authority", "root.pem")
	client := trustingClient(t, root)
	tlsConfig := client.Transport.(*http.Transport).TLSClientConfig.Clone()
	tlsConfig.NextProtos = nil // a WebSocket is HTTP/1.1
	dialer := websocket.Dialer{TLSClientConfig: tlsConfig, HandshakeTimeout: patience}
	for range 3 { // each is two events
		conn, _, err := dialer.Dial(fmt.Sprintf("wss://127.0.0.1:%d/_rtcdev/signal", ready.Port), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, &log)
		}
		conn.Close()
	}
	eventually(t, "the events are sent", func() error {
		if !strings.Contains(log.String(), "left room") {
			return &screenError{log.String()}
		}
		return nil
	})
	resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/_rtcdev/health", ready.Port))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}

// --quiet leaves the one line that is needed.
func TestQuietServePrintsTheLink(t *testing.T) {
	a := newAccount(t)
	cmd := a.command("rtcdev", "serve", "--quiet", "--trust=no", "--port", "0")
	cmd.Dir = a.emptyFolder("empty")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewReader(stdout)
	link, err := lines.ReadString('\n')
	if err != nil || !regexp.MustCompile(`^https://localhost:\d+/\?room=lobby\n$`).MatchString(link) {
		t.Errorf("%q, %v", link, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err := errors.Join(err, cmd.Wait()); err != nil || len(rest) != 0 {
		t.Errorf("then %q, %v", rest, err)
	}
}

// trustingClient trusts the root in the file and nothing else.
func trustingClient(t *testing.T, rootFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(rootFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", rootFile)
	}
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			// Not every resolver knows RFC 6761 §6.3, names below localhost.
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Timeout: patience, Transport: tr}
}
