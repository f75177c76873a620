package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// A page that stays open asks for new credentials before the old ones end. While there is no
// answer it goes on with those that it has.
func TestInjectRenews(t *testing.T) {
	function, err := Inject()
	if err != nil {
		t.Fatal(err)
	}
	const config = `{"iceServers":[{"urls":["turn:127.0.0.1:1?transport=udp"],"username":"user %d","credential":"c"}]}`
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><script>%s(`+config+`, %s)</script>`, function, 0, "Number(location.hash.slice(1))")
	})
	mux.HandleFunc("GET /_rtcdev/ice", func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if n == 1 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, config, n)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	tb := openTab(t)
	const username = `(() => { const pc = new RTCPeerConnection(); const [server] = pc.getConfiguration().iceServers; pc.close(); return server.username; })()`
	user := func() string { return eval[string](tb, username) }

	run(tb, "opening", chromedp.Navigate(s.URL+"/#3600000"))
	eval[bool](tb, `dispatchEvent(new Event("pageshow"))`)
	eval[bool](tb, `document.dispatchEvent(new Event("visibilitychange"))`)
	if got := user(); got != "user 0" || asked.Load() != 0 {
		t.Errorf("at first the page has %s, and asked %d times", got, asked.Load())
	}

	run(tb, "opening", chromedp.Navigate(s.URL+"/?late#-1"))
	until := func(condition string) {
		t.Helper()
		eval[bool](tb, fmt.Sprintf(`new Promise((done) => { const look = () => (%s) ? done(true) : setTimeout(look, 50); look(); })`, condition))
	}
	until(fmt.Sprintf(`performance.getEntriesByName(%q).length === 1`, s.URL+"/_rtcdev/ice")) // pageshow has asked
	if got := user(); got != "user 0" {
		t.Errorf("without an answer the page has %s", got)
	}
	eval[bool](tb, `document.dispatchEvent(new Event("visibilitychange"))`)
	until(username + ` === "user 2"`)
	tb.wantQuietConsole()
}

// Credentials that a page has from a welcome long ago give way to newer ones of the same
// server; all others stay as they are.
func TestInjectFreshens(t *testing.T) {
	function, err := Inject()
	if err != nil {
		t.Fatal(err)
	}
	const config = `{"iceServers":[{"urls":["turn:127.0.0.1:1?transport=udp","turn:127.0.0.1:1?transport=tcp"],"username":"10000:me","credential":"new"}]}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><script>%s(%s, 1800000)</script>`, function, config)
	}))
	t.Cleanup(s.Close)
	tb := openTab(t)
	run(tb, "opening", chromedp.Navigate(s.URL))
	for server, want := range map[string]string{
		`{ urls: "turn:127.0.0.1:1?transport=udp", username: "6400:me.p1", credential: "old" }`:   "10000:me new",
		`{ urls: ["turn:127.0.0.1:1"], username: "8000:me.p1", credential: "old" }`:               "10000:me new",
		`{ urls: "turn:127.0.0.1:1?transport=udp", username: "9000:me.p1", credential: "young" }`: "9000:me.p1 young",
		`{ urls: "turn:127.0.0.1:2?transport=udp", username: "6400:me", credential: "other" }`:    "6400:me other",
		`{ urls: ["turn:127.0.0.1:1", "turn:127.0.0.1:2"], username: "1:a", credential: "two" }`:  "1:a two",
		`{ urls: "turn:127.0.0.1:1?transport=udp", username: "me", credential: "static" }`:        "me static",
	} {
		got := eval[string](tb, `(() => {
			const pc = new RTCPeerConnection({ iceServers: [`+server+`] });
			const { username, credential } = pc.getConfiguration().iceServers[0];
			pc.close();
			return username + " " + credential;
		})()`)
		if got != want {
			t.Errorf("%s becomes %s, want %s", server, got, want)
		}
	}
	tb.wantQuietConsole()
}
