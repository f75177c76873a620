package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const patience = 30 * time.Second

// testConfig is a machine as the tests have it; its root's name is a long one.
func testConfig() Config {
	return Config{
		Computer:    "studio-mac",
		RootName:    "rtcdev minji@studio-mac 2026-11-22",
		Fingerprint: "5E:2A:91:0C:7B:3F:D8:44:19:AA:60:B2:F7:0E:8C:D1:33:9B:52:E6:08:7D:C4:1F:A9:70:2E:B5:66:F3:9D:0A",
	}
}

func newPages(t *testing.T) *Pages {
	t.Helper()
	pages, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// need finds a program that a test needs.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: apt-get install %s", program, debianPackage)
		}
		t.Skipf("%s is missing: apt-get install %s", program, debianPackage)
	}
	return path
}

// A tab is a page in a headless Chromium with a fresh profile.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the console has shown
}

func openTab(t *testing.T) *tab {
	t.Helper()
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(need(t, "chromium", "chromium")),
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+home, "PATH="+os.Getenv("PATH")),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(patience),
	)
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root
		options = append(options, chromedp.NoSandbox)
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	// The browser lives as long as the context of the first action.
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	tb := &tab{t: t, ctx: ctx}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		tb.listen()
	}()
	t.Cleanup(func() {
		cancel()
		<-listening
	})
	return tb
}

func (tb *tab) listen() {
	for m, err := range chromedp.Console(tb.ctx) {
		if err != nil {
			return // the browser has ended
		}
		switch m.Type {
		case chromedp.ConsoleError, chromedp.ConsoleWarning, chromedp.ConsoleException:
			tb.mu.Lock()
			tb.problems = append(tb.problems, fmt.Sprintf("%s: %s", m.Type, m.Text))
			tb.mu.Unlock()
		}
	}
}

// wantQuietConsole fails if the console has shown anything but what a browser
// writes for a refused connection or page.
func (tb *tab) wantQuietConsole() {
	tb.t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, p := range tb.problems {
		if !strings.Contains(p, "Failed to load resource: ") && !strings.Contains(p, "WebSocket connection to ") {
			tb.t.Errorf("console: %s", p)
		}
	}
	tb.problems = nil
}

// run does an action in the page within the test's patience.
func run[T any](tb *tab, what string, action chromedp.Action[T]) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		tb.t.Fatalf("%s: %v", what, err)
	}
	return value
}

func eval[T any](tb *tab, js string) T {
	tb.t.Helper()
	return run(tb, "evaluating "+js, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

func command[P, R any](tb *tab, cmd cdp.Command[P, R], params P) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, cmd, params); err != nil {
		tb.t.Fatal(err)
	}
}

// wait waits until a condition holds in the page, which tells when it changes.
func (tb *tab) wait(condition string) {
	tb.t.Helper()
	js := fmt.Sprintf(`new Promise((done) => {
		const look = () => { if (%s) { done(true); watch.disconnect(); } };
		const watch = new MutationObserver(look);
		watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
		setTimeout(() => done(false), %d);
		look();
	})`, condition, (patience - 5*time.Second).Milliseconds())
	if !eval[bool](tb, js) {
		tb.t.Fatalf("not so: %s; the page says %q", condition, eval[string](tb, "document.body.innerText"))
	}
}

// as makes the tab say that it is another device.
func (tb *tab) as(ua, lang string) {
	tb.t.Helper()
	command(tb, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: ua, AcceptLanguage: lang})
}

// before runs a script before the scripts of each page.
func (tb *tab) before(js string) {
	tb.t.Helper()
	command(tb, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: js})
}

// screenshot keeps what the whole page looks like, if RTCDEV_SCREENSHOTS names a
// folder.
func (tb *tab) screenshot(name string) {
	tb.t.Helper()
	dir := os.Getenv("RTCDEV_SCREENSHOTS")
	if dir == "" {
		return
	}
	png := run(tb, "taking a screenshot", chromedp.FullScreenshot(100))
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)); err != nil {
		tb.t.Fatal(err)
	}
}

// serve answers as the plain HTTP side of rtcdev does.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	pages := newPages(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", pages.SetUp)
	mux.HandleFunc("GET /_rtcdev/trust", pages.SetUp)
	mux.HandleFunc("GET /secret", pages.NeedSecret)
	mux.HandleFunc("GET /app", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the app") })
	for _, file := range []string{"ca.crt", "ca.pem", "ca.mobileconfig"} {
		mux.HandleFunc("GET /_rtcdev/"+file, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Disposition", `attachment; filename="rtcdev-`+file+`"`)
			fmt.Fprint(w, file)
		})
	}
	mux.HandleFunc("/", pages.ToHTTPS)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestPagesFit looks at the page as each device at the size of a phone.
func TestPagesFit(t *testing.T) {
	s, tb := serve(t), openTab(t)
	for _, size := range [][2]int64{{320, 640}, {390, 844}} {
		run(tb, "resizing", chromedp.EmulateViewport(size[0], size[1], chromedp.EmulateMobile))
		for _, lang := range []string{"en", "ko"} {
			for _, a := range agents {
				name := fmt.Sprintf("%s-%s-%d", a.name, lang, size[0])
				tb.as(a.ua, lang)
				run(tb, name, chromedp.Navigate(s.URL+"/?room=kitchen&token=s3cret"))
				if a.want.App == NoApp {
					tb.wait(`/step 1|1단계|below|아래/.test(document.querySelector("#status").textContent)`)
				}
				tb.wantFit(name, size[0], a.want)
				tb.screenshot(name)
				tb.wantQuietConsole()
			}
		}
	}
}

// wantFit checks what is on a screen of that width: all of it, nothing beside
// it, and nothing too small for a thumb. (The page's innerWidth grows with what
// does not fit.)
func (tb *tab) wantFit(name string, width int64, d Device) {
	tb.t.Helper()
	faults := eval[[]string](tb, fmt.Sprintf(`(() => {
		const faults = [], width = %d;
		const root = document.documentElement;
		if (root.scrollWidth > width) faults.push("the page is " + root.scrollWidth + " wide");
		for (const e of document.body.querySelectorAll("*")) {
			if (!e.checkVisibility()) continue;
			const { left, right, height } = e.getBoundingClientRect();
			if (right > width + 0.5 || left < -0.5) faults.push(e.outerHTML.slice(0, 80) + " goes from " + left + " to " + right);
			if (e.matches("a.button, summary, .choices a, .top a") && height < 44) faults.push(e.outerHTML.slice(0, 80) + " is " + height + " high");
		}
		return faults;
	})()`, width))
	for _, f := range faults {
		tb.t.Errorf("%s: %s", name, f)
	}
	steps := eval[int](tb, `[...document.querySelectorAll(".steps > li:not(.note) h3")].filter((e) => e.checkVisibility()).length`)
	switch {
	case d.App != NoApp:
		if steps != 0 || !eval[bool](tb, `document.querySelector(".card h2").checkVisibility()`) {
			tb.t.Errorf("%s: %d steps beside the way out of the app", name, steps)
		}
	case d.Platform != Unknown && (steps < 3 || steps > 4):
		tb.t.Errorf("%s: %d steps are visible", name, steps)
	}
}

// TestOtherPagesFit looks at the two small pages, and at all of them in the dark.
func TestOtherPagesFit(t *testing.T) {
	s, tb := serve(t), openTab(t)
	run(tb, "resizing", chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile))
	for _, lang := range []string{"en", "ko"} {
		tb.as(agentOf(t, "iphone"), lang)
		run(tb, "opening", chromedp.Navigate(s.URL+"/secret"))
		tb.wantFit("need-secret", 320, Device{})
		tb.screenshot("need-secret-" + lang)
	}
	pages := newPages(t)
	notice := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What is shown by who does not follow.
		recorded := httptest.NewRecorder()
		pages.ToHTTPS(recorded, r)
		w.Header().Set("Content-Type", recorded.Header().Get("Content-Type"))
		w.Header().Set("Content-Security-Policy", recorded.Header().Get("Content-Security-Policy"))
		w.Write(recorded.Body.Bytes())
	}))
	t.Cleanup(notice.Close)
	run(tb, "opening", chromedp.Navigate(notice.URL))
	tb.wantFit("to-https", 320, Device{})
	tb.screenshot("to-https")

	command(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	for _, device := range []string{"iphone", "android-samsung", "android-kakaotalk"} {
		tb.as(agentOf(t, device), "ko")
		run(tb, "opening", chromedp.Navigate(s.URL+"/?room=kitchen"))
		if background := eval[string](tb, `getComputedStyle(document.body).backgroundColor`); background != "rgb(21, 21, 20)" {
			t.Errorf("in the dark the page is %s", background)
		}
		tb.screenshot("dark-" + device)
	}
	tb.wantQuietConsole()
}

// TestPolicy checks that the policy lets the page test this host, which it may
// not be able to name, and no other one if it can.
func TestPolicy(t *testing.T) {
	tb := openTab(t)
	tb.as(agentOf(t, "iphone"), "en")
	const other = "127.0.0.2:1"
	for _, c := range []struct{ listen, other string }{{"127.0.0.1:0", other}, {"[::1]:0", ""}} {
		ln, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Logf("this machine cannot listen on %s: %v", c.listen, err)
			continue
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(newPages(t).SetUp))
		s.Listener.Close()
		s.Listener = ln
		s.Start()
		t.Cleanup(s.Close)
		run(tb, "opening", chromedp.Navigate(s.URL+"/"))
		tb.wait(`document.querySelector("#status").textContent.includes("Begin with step 1")`)
		refused := func(host string) bool {
			return eval[bool](tb, fmt.Sprintf(`new Promise((done) => {
				addEventListener("securitypolicyviolation", () => done(true), { once: true });
				const socket = new WebSocket("wss://%s/_rtcdev/signal?probe");
				socket.onerror = () => setTimeout(() => done(false), 100);
			})`, host))
		}
		if refused(ln.Addr().String()) {
			t.Errorf("on %s the policy refuses the page its own host", ln.Addr())
		}
		tb.mu.Lock() // the refusal below may be told late
		tb.problems = slices.DeleteFunc(tb.problems, func(p string) bool { return strings.Contains(p, other) })
		tb.mu.Unlock()
		tb.wantQuietConsole()
		if c.other != "" && !refused(c.other) {
			t.Errorf("on %s the policy lets the page go to %s", ln.Addr(), c.other)
		}
	}
}

// The secret behind the # goes on to the app, which has HTTPS, and into no other request.
func TestSecretStaysOffPlainHTTP(t *testing.T) {
	s, tb := serve(t), openTab(t)
	tb.as(agents[0].ua, "en")
	run(tb, "opening the link", chromedp.Navigate(s.URL+"/?room=kitchen#room-token=an-open-secret"))
	links := eval[[]string](tb, `[...document.querySelectorAll("a[href]"), ...[...document.querySelectorAll("template")].flatMap((t) => [...t.content.querySelectorAll("a[href]")])].map((a) => a.getAttribute("href"))`)
	toApp := 0
	for _, link := range links {
		before, _, _ := strings.Cut(link, "#")
		switch secret := strings.Contains(before, "an-open-secret"); {
		case strings.HasPrefix(link, "https://") && strings.Contains(link, "room=kitchen"):
			toApp++
			if !secret {
				t.Errorf("%s lacks the secret", link)
			}
		case secret:
			t.Errorf("%s would send it", link)
		}
	}
	if toApp == 0 {
		t.Errorf("no link leads to the app: %q", links)
	}
}

// Who leaves an app's own window keeps the secret, and still sends it nowhere in the clear.
func TestSecretLeavesTheApp(t *testing.T) {
	s, tb := serve(t), openTab(t)
	const hash = "#room-token=an-open-secret"
	here := s.URL + "/?room=kitchen"
	for device, want := range map[string]string{
		"iphone-kakaotalk":  "kakaotalk://web/openExternal?url=" + url.QueryEscape(here+hash),
		"android-instagram": "intent://" + strings.TrimPrefix(here, "http://") + hash + "#Intent;scheme=http;package=com.android.chrome;end",
		"iphone-line":       "/?openExternalBrowser=1&room=kitchen" + hash,
	} {
		tb.as(agentOf(t, device), "en")
		run(tb, "opening the link", chromedp.Navigate("about:blank"))
		run(tb, "opening the link", chromedp.Navigate(here+hash))
		if got := eval[string](tb, `document.querySelector(".card a.button").href`); !strings.HasSuffix(got, want) {
			t.Errorf("%s: the way out is %s, want %s", device, got, want)
		}
		if got := eval[string](tb, `document.querySelector(".card .code").textContent`); got != here+hash {
			t.Errorf("%s: one is to type %s", device, got)
		}
	}
}
