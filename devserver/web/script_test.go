package web

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestWatcher runs testdata/watcher_test.mjs in node.
func TestWatcher(t *testing.T) {
	node := need(t, "node", "nodejs")
	script, err := os.ReadFile("setup.js")
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(t.TempDir(), "setup.mjs") // node asks for the ending
	if err := os.WriteFile(module, script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "--test", "testdata/watcher_test.mjs")
	cmd.Env = append(os.Environ(), "SETUP_JS="+module)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "pass 9") {
		t.Errorf("%v\n%s", err, out)
	}
}

// fakes stands in for the network: what testWorks names is answered.
const fakes = `
window.testWorks = { https: false, socket: false, ...JSON.parse(localStorage.getItem("testWorks") ?? "{}") };
window.testAsked = [];
const realFetch = window.fetch;
window.fetch = (address, options) => {
	testAsked.push(String(address));
	if (!String(address).includes("/_rtcdev/beacon")) return realFetch(address, options);
	return testWorks.https ? Promise.resolve(new Response(null, { status: 204 })) : Promise.reject(new TypeError("refused"));
};
window.WebSocket = class {
	constructor(address) {
		testAsked.push(address);
		queueMicrotask(() => testWorks.socket ? this.onopen() : this.onerror());
	}
	close() {}
};
`

// TestProgress goes the way of a person with an iPhone: the page is opened, the
// profile downloaded, the settings visited, and the last switch found.
func TestProgress(t *testing.T) {
	s, tb := serve(t), openTab(t)
	tb.before(fakes)
	tb.as(agentOf(t, "iphone"), "en")
	run(tb, "opening", chromedp.Navigate(s.URL+"/?room=kitchen"))
	status := func(want string) {
		t.Helper()
		tb.wait(fmt.Sprintf(`document.querySelector("#status").textContent.includes(%q)`, want))
	}
	status("Begin with step 1")
	if live := eval[string](tb, `document.querySelector("#status").role`); live != "status" {
		t.Errorf("the status has the role %q", live)
	}
	eval[bool](tb, `(() => { // the download itself is not of interest here
		const link = document.querySelector(".download");
		link.addEventListener("click", (e) => e.preventDefault());
		link.click();
		return true;
	})()`)
	status("Still missing: step 2")
	if !eval[bool](tb, `document.querySelector(".steps li").classList.contains("done")`) {
		t.Error("the first step is not shown as done")
	}
	const turn = `(() => {
		Object.defineProperty(document, "hidden", { configurable: true, value: %v });
		document.dispatchEvent(new Event("visibilitychange"));
		return true;
	})()`
	eval[bool](tb, fmt.Sprintf(turn, true))
	eval[bool](tb, fmt.Sprintf(turn, false))
	status("the switch of step 3 is still off")
	run(tb, "loading again", chromedp.Reload()) // a phone has thrown the page away
	status("the switch of step 3 is still off")

	eval[bool](tb, `testWorks.https = true`)
	status("WebSocket is still refused")
	want := strings.Replace(s.URL, "http:", "https:", 1) + "/?room=kitchen"
	if to := eval[string](tb, `document.querySelector("#status a").href`); to != want {
		t.Errorf("one can go on to %s, want %s", to, want)
	}
	asked := eval[string](tb, `[...new Set(testAsked)].join(" ")`)
	for _, a := range []string{want[:len(want)-len("/?room=kitchen")] + "/_rtcdev/beacon", "wss:" + strings.TrimPrefix(s.URL, "http:") + "/_rtcdev/signal?probe"} {
		if !strings.Contains(asked, a) {
			t.Errorf("it asked %s, not %s", asked, a)
		}
	}
	eval[bool](tb, `testWorks.socket = true`)
	status("All is well")
	tb.wantQuietConsole()
}

// TestOffer waits until one may go on without installing.
func TestOffer(t *testing.T) {
	s, tb := serve(t), openTab(t)
	tb.before(fakes + `
		const began = Date.now(), realNow = Date.now;
		Date.now = () => began + 10 * (realNow() - began); // a fast clock`)
	tb.as(agentOf(t, "android-chrome"), "en")
	run(tb, "opening", chromedp.Navigate(s.URL+"/"))
	tb.wait(`document.querySelector("#status").textContent.includes("Begin with step 1")`)
	if eval[bool](tb, `document.querySelector("#anyway").checkVisibility()`) {
		t.Error("it is offered at once")
	}
	tb.wait(`document.querySelector("#anyway").checkVisibility()`)
	tb.screenshot("offer")
}

// TestIPad checks that only a touch screen makes an iPad of a Macintosh.
func TestIPad(t *testing.T) {
	s, tb := serve(t), openTab(t)
	tb.before(fakes)
	tb.as(agentOf(t, "mac-safari"), "en")
	for _, c := range []struct{ points, right string }{{"0", "mac"}, {"5", "ios"}} {
		tb.before(`Object.defineProperty(navigator, "maxTouchPoints", { configurable: true, value: ` + c.points + ` })`)
		run(tb, "opening", chromedp.Navigate(s.URL+"/"))
		tb.wait(`document.querySelector("#status").textContent.length > 0`)
		got := eval[string](tb, `[...document.querySelectorAll("[data-guide]")].filter((e) => e.checkVisibility()).map((e) => e.dataset.guide).join()`)
		if got != c.right {
			t.Errorf("with %s points of touch it shows %s, want %s", c.points, got, c.right)
		}
	}
}

// TestWithoutScript checks that each device gets to its download without
// JavaScript, and to the app afterwards.
func TestWithoutScript(t *testing.T) {
	s, tb := serve(t), openTab(t)
	command(tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	run(tb, "resizing", chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile))
	for _, a := range agents {
		if a.ua == "" {
			continue // Chromium would say its own
		}
		tb.as(a.ua, "en")
		run(tb, a.name, chromedp.Navigate(s.URL+"/?room=kitchen"))
		seen := eval[string](tb, `[...document.querySelectorAll("a.button")].filter((e) => e.checkVisibility()).map((e) => e.getAttribute("href")).join(" ")`)
		app := strings.Replace(s.URL, "http:", "https:", 1) + "/?room=kitchen"
		var want []string
		for _, id := range guidesOf(a.want, "") {
			if a.want.App == NoApp {
				want = append(want, downloadFor(id), app)
			}
		}
		if got := strings.Fields(seen); a.want.App == NoApp && strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: the buttons lead to %q, want %q", a.name, got, want)
		}
		if eval[bool](tb, `document.querySelector("#status, .card")?.checkVisibility() ?? false`) != (a.want.App != NoApp) {
			t.Errorf("%s: it shows what only a script can fill", a.name)
		}
		tb.screenshot("no-script-" + a.name)
	}
	tb.wantQuietConsole()
}

// maxLoad is how many bytes of content a load may take, uncompressed.
const maxLoad = 60_000

// TestSize counts what Chromium transfers to show the page.
func TestSize(t *testing.T) {
	s, tb := serve(t), openTab(t)
	tb.before(fakes)
	biggest := 0
	for _, lang := range []string{"en", "ko"} {
		for _, a := range agents {
			tb.as(a.ua, lang)
			run(tb, a.name, chromedp.Navigate(s.URL+"/?room=kitchen"))
			size := eval[int](tb, `(() => {
				const loads = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
				const once = loads.filter((l) => !["fetch", "xmlhttprequest"].includes(l.initiatorType));
				if (once.length !== 1) return -1;
				return once[0].decodedBodySize;
			})()`)
			if size <= 0 || size > maxLoad {
				t.Errorf("%s-%s: %d bytes", a.name, lang, size)
			}
			biggest = max(biggest, size)
		}
	}
	t.Logf("the biggest page is %d bytes in one request", biggest)
}
