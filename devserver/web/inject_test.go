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
