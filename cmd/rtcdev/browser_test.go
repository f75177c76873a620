package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tab is a page in a headless Chromium of its own, as another person's would be.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // console errors and warnings, exceptions, failed loads

	close func() // ends the browser
}

// watchPeerConnections lets a test see the page's peer connections, which the
// page keeps to itself.
const watchPeerConnections = `
window.testPCs = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) { super(...args); testPCs.push(this); }
};`

// open starts Chromium for the account and shows url.
func (a *account) open(url string) *tab {
	a.t.Helper()
	p := a.startBrowser()
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPeerConnections}); err != nil {
		a.t.Fatal(err)
	}
	do(p, "opening "+url, chromedp.Navigate(url))
	return p
}

// startBrowser starts Chromium with a fresh profile and a fake camera. There is
// no flag that makes it accept a certificate.
func (a *account) startBrowser(more ...chromedp.ExecAllocatorOption) *tab {
	a.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(a.chromium()),
		chromedp.NoInheritEnv,
		chromedp.Env(a.env()...),
		chromedp.UserDataDir(a.t.TempDir()),
		chromedp.WindowSize(1280, 800),
		chromedp.DisableGPU,
		chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(patience),
	)
	options = append(options, more...)
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root
		options = append(options, chromedp.NoSandbox)
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	a.t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	a.t.Cleanup(cancel)
	// The browser lives as long as the context of the first action.
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		a.t.Fatalf("starting Chromium: %v", err)
	}
	p := &tab{t: a.t, ctx: ctx, close: cancel}
	go p.listen(chromedp.Console(ctx))
	return p
}

// chromium is the program; in a namespace of the network a script that runs it there,
// where it has policies of its own.
func (a *account) chromium() string {
	a.t.Helper()
	program := need(a.t, "chromium", "chromium")
	if a.namespace == "" {
		return program
	}
	script := filepath.Join(a.tmp, "chromium")
	// ip netns exec has made a mount namespace, too: nobody else sees this /etc.
	text := fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s sh -ec 'mount --bind %s /etc/chromium; exec %s \"$@\"' chromium \"$@\"\n", a.namespace, filepath.Dir(a.policies()), program)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		a.t.Fatal(err)
	}
	return script
}

// policies is the folder that takes the place of Chromium's in /etc.
func (a *account) policies() string {
	a.t.Helper()
	dir := filepath.Join(a.tmp, "etc-chromium", "policies")
	if err := os.MkdirAll(filepath.Join(dir, "managed"), 0o755); err != nil {
		a.t.Fatal(err)
	}
	return dir
}

func (p *tab) listen(messages func(func(chromedp.ConsoleMessage, error) bool)) {
	for m, err := range messages {
		if err != nil {
			return // the browser has ended
		}
		switch m.Type {
		case chromedp.ConsoleError, chromedp.ConsoleWarning, chromedp.ConsoleException:
			p.mu.Lock()
			p.problems = append(p.problems, fmt.Sprintf("%s: %s (%s:%d)", m.Type, m.Text, m.URL, m.Line+1))
			p.mu.Unlock()
		}
	}
}

// do runs an action in the page within the test's patience.
func do[T any](p *tab, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%s: %v; console: %q", what, err, p.trouble())
	}
	return value
}

// eval runs JavaScript in the page, awaits its promise, and returns its value.
func eval[T any](p *tab, js string) T {
	p.t.Helper()
	return do(p, "evaluating "+js, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// wait waits until the JavaScript condition holds.
func (p *tab) wait(condition string) {
	p.t.Helper()
	eventually(p.t, condition, func() error {
		if eval[bool](p, "!!("+condition+")") {
			return nil
		}
		return fmt.Errorf("not so; the page says %q; console: %q", eval[string](p, `document.body?.innerText.slice(0, 300) ?? ""`), p.trouble())
	})
}

// framesDecoded counts the video frames of the live peer connections.
func (p *tab) framesDecoded() int {
	p.t.Helper()
	return eval[int](p, `(async () => {
		let n = 0;
		for (const pc of testPCs.filter(pc => pc.connectionState === "connected"))
			for (const s of (await pc.getStats()).values())
				if (s.type === "inbound-rtp" && s.kind === "video") n += s.framesDecoded;
		return n;
	})()`)
}

// wantVideo checks that the remote picture is there and that it moves: ten frames and
// more are decoded in two seconds, which a busy machine may not manage at once.
func (p *tab) wantVideo() {
	p.t.Helper()
	p.wait(`document.querySelector("#remoteVideo").videoWidth > 0`)
	eventually(p.t, "the remote picture moves", func() error {
		before := p.framesDecoded()
		eval[bool](p, `new Promise(done => setTimeout(() => done(true), 2000))`)
		if after := p.framesDecoded(); after < before+10 {
			return fmt.Errorf("%d frames decoded in two seconds (%d, then %d)", after-before, before, after)
		}
		return nil
	})
}

// chat types a line into the chat of p and waits until it shows at other.
func (p *tab) chat(other *tab, line string) {
	p.t.Helper()
	p.wait(`document.querySelector("#chatInput").matches(":enabled")`)
	do(p, "typing into the chat", chromedp.SendKeys("#chatInput", line+"\r"))
	other.wait(fmt.Sprintf(`document.querySelector("#chatLog").textContent.includes(%q)`, line))
}

func (p *tab) trouble() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.problems...)
}

// wantQuietConsole fails if the console has shown an error or a warning, apart
// from those that contain one of the expected texts.
func (p *tab) wantQuietConsole(expected ...string) {
	p.t.Helper()
next:
	for _, problem := range p.trouble() {
		for _, e := range expected {
			if strings.Contains(problem, e) {
				continue next
			}
		}
		p.t.Errorf("console: %s", problem)
	}
}

// screenshot writes what the page shows to a file.
func (p *tab) screenshot(path string, width, height int64) {
	p.t.Helper()
	do(p, "resizing", chromedp.EmulateViewport(width, height))
	png := do(p, "taking a screenshot", chromedp.CaptureScreenshot())
	do(p, "resizing back", chromedp.ResetViewport())
	if err := errors.Join(os.MkdirAll(*screenshots, 0o755), os.WriteFile(path, png, 0o644)); err != nil {
		p.t.Fatal(err)
	}
}
