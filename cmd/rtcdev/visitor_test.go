//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// visitor is a person with a browser of any kind, and one page in it.
type visitor struct {
	t     *testing.T
	name  string
	chrom *tab // nil for another browser
	goTo  func(url string) error
	again func() error                    // loads the page again
	ask   func(js string) (string, error) // the value must be a string
	tab   func() *visitor                 // another tab of the browser
	said  func() []string                 // errors and warnings that its console has shown
}

// beforeEveryPage runs before the scripts of a page. It keeps what the page prints,
// its errors and its peer connections, and holds back the camera until allow(). What
// window.beforePC makes of a configuration is what the browser gets. With "bare" in its
// address a page has the browser's own RTCPeerConnection.
const beforeEveryPage = `(() => {
	window.printed = [];
	window.errors = [];
	window.testPCs = [];
	addEventListener("error", (event) => errors.push(String(event.message || event.target.src)), true);
	addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
	addEventListener("securitypolicyviolation", ({ blockedURI }) => errors.push("refused: " + blockedURI));
	const print = console.log.bind(console);
	console.log = (...args) => { printed.push(args); print(...args); };
	if (!location.search.includes("bare"))
		window.RTCPeerConnection = class extends RTCPeerConnection {
			constructor(...args) { super(...(window.beforePC ? [beforePC(args[0])] : args)); testPCs.push(this); }
		};
	const waiting = [];
	window.asks = 0;
	window.allow = () => { waiting.splice(0).forEach((answer) => answer()); window.allow.always = true; };
	const devices = navigator.mediaDevices;
	if (devices) {
		const open = devices.getUserMedia.bind(devices);
		devices.getUserMedia = (constraints) => new Promise((resolve, reject) => {
			asks++;
			waiting.push(() => open(constraints).then(resolve, reject));
			if (allow.always) allow();
		});
	}
	try {
		if (sessionStorage.getItem("withoutWebSocket")) delete window.WebSocket;
	} catch { /* about:blank has no storage */ }
})()`

// withChromium starts a Chromium for the account.
func (a *account) withChromium() *visitor {
	a.t.Helper()
	p := a.startBrowser()
	v := visitTab(a.t, p.ctx)
	v.chrom, v.said = p, p.trouble
	v.tab = func() *visitor {
		ctx, cancel := chromedp.NewContext(p.ctx)
		a.t.Cleanup(cancel)
		another := visitTab(a.t, ctx)
		console := &tab{t: a.t, ctx: ctx}
		go console.listen(chromedp.Console(ctx))
		another.said, another.tab = console.trouble, v.tab
		return another
	}
	return v
}

// visitTab makes a visitor of a tab of Chromium.
func visitTab(t *testing.T, ctx context.Context) *visitor {
	t.Helper()
	v := &visitor{t: t, name: "Chromium"}
	limited := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, patience) }
	v.goTo = func(url string) error {
		ctx, cancel := limited()
		defer cancel()
		_, err := chromedp.Run(ctx, chromedp.Navigate(url))
		return err
	}
	v.again = func() error {
		ctx, cancel := limited()
		defer cancel()
		_, err := chromedp.Run(ctx, chromedp.Reload())
		return err
	}
	v.ask = func(js string) (string, error) {
		ctx, cancel := limited()
		defer cancel()
		return chromedp.Run(ctx, chromedp.Evaluate[string](js, chromedp.EvalAwaitPromise))
	}
	// The tab lives as long as the context of its first action.
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: beforeEveryPage}); err != nil {
		t.Fatal(err)
	}
	return v
}

// withFirefox starts a Firefox for the account, whose authority must be there. Its
// camera is a fake one, as Chromium's is.
func (a *account) withFirefox() *visitor {
	a.t.Helper()
	need(a.t, "certutil", "libnss3-tools")
	profile := filepath.Join(tempDir(a.t), "profile")
	a.trustInNSS(profile, a.root())
	f := startFirefox(a.t, a.home, profile, map[string]any{
		"media.navigator.streams.fake":        true,
		"media.navigator.permission.disabled": true,
	})
	add := map[string]any{"functionDeclaration": "() => " + beforeEveryPage}
	if err := f.call("script.addPreloadScript", add, nil); err != nil {
		a.t.Fatal(err)
	}
	return visitPage(a.t, f)
}

// visitPage makes a visitor of the page that Firefox shows.
func visitPage(t *testing.T, f *firefox) *visitor {
	v := &visitor{t: t, name: "Firefox", goTo: f.navigate, ask: f.evaluate, said: f.trouble}
	v.again = func() error {
		return f.call("browsingContext.reload", map[string]any{"context": f.page, "wait": "complete"}, nil)
	}
	v.tab = func() *visitor {
		t.Helper()
		another, err := f.another()
		if err != nil {
			t.Fatal(err)
		}
		return visitPage(t, another)
	}
	return v
}

// root is the file of the account's authority.
func (a *account) root() string {
	return filepath.Join(a.home, ".local", "share", "rtcdev", "authority", "root.pem")
}

func (v *visitor) open(url string) {
	v.t.Helper()
	if err := v.goTo(url); err != nil {
		v.t.Fatalf("%s: opening %s: %v", v.name, url, err)
	}
}

func (v *visitor) reload() {
	v.t.Helper()
	if err := v.again(); err != nil {
		v.t.Fatalf("%s: loading the page again: %v", v.name, err)
	}
}

// get returns the value of JavaScript as a string.
func (v *visitor) get(js string) string {
	v.t.Helper()
	value, err := v.ask("(async () => String(await (" + js + ")))()")
	if err != nil {
		v.t.Fatalf("%s: %v", v.name, err)
	}
	return value
}

// wait waits until the condition holds. The page may load itself anew meanwhile.
func (v *visitor) wait(condition string) {
	v.t.Helper()
	eventually(v.t, v.name+": "+condition, func() error {
		value, err := v.ask("String(!!(" + condition + "))")
		if err != nil || value == "true" {
			return err
		}
		state, err := v.ask(`JSON.stringify({ printed, errors, pcs: testPCs.map((pc) => [pc.signalingState, pc.connectionState]) })`)
		return errors.Join(&screenError{state}, err)
	})
}

// frames counts the video frames that the page's live connections have decoded.
func (v *visitor) frames() int {
	v.t.Helper()
	n, err := strconv.Atoi(v.get(`(async () => {
		let n = 0;
		for (const pc of testPCs.filter((pc) => pc.connectionState === "connected"))
			for (const s of (await pc.getStats()).values())
				if (s.type === "inbound-rtp" && s.kind === "video") n += s.framesDecoded || 0;
		return n;
	})()`))
	if err != nil {
		v.t.Fatal(err)
	}
	return n
}

// wantMoving waits until the remote picture is there and moves from now on.
func (v *visitor) wantMoving() {
	v.t.Helper()
	v.wait(`document.querySelector("#remoteVideo").videoWidth > 0 && testPCs.some((pc) => pc.connectionState === "connected")`)
	before := v.frames()
	eventually(v.t, v.name+" sees the other one move", func() error {
		if n := v.frames(); n < before+10 {
			return fmt.Errorf("%d frames, then %d", before, n)
		}
		return nil
	})
}

// wantNoErrors checks that no script of the page has failed.
func (v *visitor) wantNoErrors() {
	v.t.Helper()
	if got := v.get("JSON.stringify(errors)"); got != "[]" {
		v.t.Errorf("%s: errors in the page: %s\nit printed %s", v.name, got, v.get("JSON.stringify(printed)"))
	}
}

// wantQuietConsole checks that no script has failed, and that the browser complained of
// nothing.
func (v *visitor) wantQuietConsole() {
	v.t.Helper()
	v.wantNoErrors()
	for _, problem := range v.said() {
		v.t.Errorf("%s: console: %s", v.name, problem)
	}
}
