//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// counterparts is where npm ci puts the clients of others.
const counterparts = "../../scripts/counterparts"

// needCounterpart returns the path of a file of an npm package that the test
// cannot do without.
func needCounterpart(t *testing.T, file string) string {
	t.Helper()
	path := filepath.Join(counterparts, "node_modules", file)
	_, err := os.Stat(path)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true":
		t.Skipf("%s is missing: npm ci --prefix scripts/counterparts", file)
	default:
		t.Fatalf("%v: npm ci --prefix scripts/counterparts", err)
	}
	return path
}

// peerJSFolder makes a folder with a page of PeerJS, whose script it has, too.
func (a *account) peerJSFolder() string {
	a.t.Helper()
	dir := a.emptyFolder("peerjs")
	for _, from := range []string{filepath.Join("testdata", "peerjs", "index.html"), needCounterpart(a.t, "peerjs/dist/peerjs.min.js")} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(from)), content, 0o644)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	return dir
}

// peerJSPage is the page of testdata/peerjs in some browser.
type peerJSPage struct {
	t *testing.T
	// evaluate runs JavaScript, awaits its promise, and returns the string that it
	// makes.
	evaluate func(js string) (string, error)
}

func (p *peerJSPage) eval(js string) string {
	p.t.Helper()
	value, err := p.evaluate("(async () => String(await (" + js + ")))()")
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

func (p *peerJSPage) wait(condition string) {
	p.t.Helper()
	eventually(p.t, condition, func() error {
		if p.eval("!!("+condition+")") == "true" {
			return nil
		}
		return fmt.Errorf("not so; the page has seen\n%s", p.eval(`events.join("\n")`))
	})
}

// start makes the page's peer, with an id of the server's if it has none.
func (p *peerJSPage) start(id, path string) string {
	p.t.Helper()
	got := p.eval(fmt.Sprintf("start(%q, %q)", id, path))
	if id != "" && got != id || len(got) < 3 {
		p.t.Fatalf("the peer %q opens as %q", id, got)
	}
	return got
}

func (p *peerJSPage) framesDecoded() int {
	p.t.Helper()
	n, err := strconv.Atoi(p.eval("framesDecoded()"))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// wantVideo checks that the other side's picture moves.
func (p *peerJSPage) wantVideo() {
	p.t.Helper()
	p.wait(`document.querySelector("#remoteVideo").videoWidth > 0`)
	before := p.framesDecoded()
	eventually(p.t, "20 more pictures are decoded", func() error {
		if n := p.framesDecoded() - before; n < 20 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
}

// wantData sends over the newest data connection, something small and something
// that PeerJS cuts into pieces.
func (p *peerJSPage) wantData(other *peerJSPage, text string) {
	p.t.Helper()
	p.wait("lines.at(-1)?.open")
	other.eval("events.length = 0")
	p.eval(fmt.Sprintf("lines.at(-1).send({ text: %q })", text))
	p.eval("lines.at(-1).send(new Uint8Array(300_000))")
	other.wait(fmt.Sprintf("events.includes(%q) && events.includes('data bytes 300000')", "data "+text))
}

// openPeerJS shows the page in Chromium.
func (a *account) openPeerJS(url string) (*peerJSPage, *tab) {
	a.t.Helper()
	p := a.open(url)
	return &peerJSPage{a.t, func(js string) (string, error) { return eval[string](p, js), nil }}, p
}

// openPeerJSInFirefox shows the page in Firefox, whose profile is the one that
// `certs trust` has made.
func (a *account) openPeerJSInFirefox(url string) *peerJSPage {
	a.t.Helper()
	profiles, err := filepath.Glob(filepath.Join(a.home, ".config", "mozilla", "firefox", "*", "cert9.db"))
	if err != nil || len(profiles) != 1 {
		a.t.Fatalf("the profiles of Firefox are %q, %v", profiles, err)
	}
	f := startFirefox(a.t, a.home, filepath.Dir(profiles[0]), map[string]any{
		"media.navigator.streams.fake":        true,
		"media.navigator.permission.disabled": true,
		"media.autoplay.default":              0, // allowed
	})
	if err := f.navigate(url); err != nil {
		a.t.Fatal(err)
	}
	return &peerJSPage{a.t, f.evaluate}
}

// Pages of PeerJS call each other, before the other one has come, too, and all
// that can happen to a peer of theirs happens as its documentation says.
func TestPeerJS(t *testing.T) {
	a := newAccount(t)
	a.trust()
	dir := a.peerJSFolder()
	s := a.serve(dir, "--port", "0")
	alice, aliceTab := a.openPeerJS(s.ready.URL)
	bob, bobTab := a.openPeerJS(s.ready.URL)

	alice.start("alice", "/")
	if e := s.event("peer-joined"); e["door"] != "peerjs" || e["peer"] != "alice" || e["room"] != "peerjs" {
		t.Errorf("the server says %v", e)
	}
	alice.eval(`call("bob")`) // who has yet to come
	bob.start("bob", "/")
	alice.wantVideo()
	bob.wantVideo()
	alice.wantData(bob, "hello")
	bob.wantData(alice, "안녕")

	// An id belongs to one, and is another's when that one has gone.
	thief := `outcome(new Peer("alice", { host: location.hostname, port: location.port, secure: true }))`
	if got := bob.eval(thief); got != "error unavailable-id" {
		t.Errorf("a second alice gets %q", got)
	}
	if got := alice.eval(`new Promise((done) => { peer.once("error", (e) => done(e.type)); peer.connect("nobody"); })`); got != "peer-unavailable" {
		t.Errorf("a call to nobody ends with %q", got)
	}

	// Without the server the call goes on; Peer.reconnect leads back to it.
	bob.eval("peer.disconnect()")
	bob.wait(`events.at(-1) === "disconnected"`)
	bob.wantVideo()
	bob.eval("peer.reconnect()")
	bob.wait(`events.at(-1) === "open bob" && peer.open`)
	alice.eval("keepLine(peer.connect('bob'))")
	alice.wantData(bob, "once more")

	s.interrupt()
	for _, p := range []*peerJSPage{alice, bob} {
		p.wait(`events.includes("error network") && events.includes("disconnected") && !peer.destroyed`)
		p.wantVideo()
	}
	s = a.serve(dir, "--port", port(s.ready.Port), "--strict-port")
	for _, p := range []*peerJSPage{alice, bob} {
		p.eval("peer.reconnect()")
		p.wait("peer.open")
	}
	bob.eval("keepLine(peer.connect('alice'))")
	bob.wantData(alice, "after the restart")
	aliceTab.wantQuietConsole()
	bobTab.wantQuietConsole()
	if took := s.interrupt(); took > stopLimit {
		t.Errorf("the server took %v to stop", took)
	}
}

// Chromium and Firefox call each other, by ids that the server has made, at the
// other address that people give to a PeerServer.
func TestPeerJSBetweenBrowsers(t *testing.T) {
	a := newAccount(t)
	a.stores = "nss,firefox"
	a.trust()
	s := a.serve(a.peerJSFolder(), "--port", "0")
	chromium, chromiumTab := a.openPeerJS(s.ready.URL)
	firefox := a.openPeerJSInFirefox(s.ready.URL)
	for name, pair := range map[string][2]*peerJSPage{
		"Chromium calls Firefox": {chromium, firefox},
		"Firefox calls Chromium": {firefox, chromium},
	} {
		t.Run(name, func(t *testing.T) {
			caller, called := pair[0], pair[1]
			caller.t, called.t, chromiumTab.t = t, t, t
			caller.start("", "/peerjs")
			caller.eval(fmt.Sprintf("call(%q)", called.start("", "/peerjs")))
			caller.wantVideo()
			called.wantVideo()
			caller.wantData(called, "hello")
			called.wantData(caller, "안녕")
			for _, p := range pair {
				p.eval("peer.destroy()")
				p.eval(`calls.length = lines.length = 0, document.querySelector("#remoteVideo").srcObject = null`)
			}
			chromiumTab.wantQuietConsole()
		})
	}
	chromium.t, chromiumTab.t = t, t
	eventually(t, "all peers have gone", func() error {
		if n := chromium.eval(`fetch("/_rtcdev/health").then((r) => r.json()).then(({ peers }) => peers)`); n != "0" {
			return fmt.Errorf("%s are there", n)
		}
		return nil
	})
}
