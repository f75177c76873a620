package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	latest   = "https://webrtc.github.io/adapter/adapter-latest.js"
	codelab  = "<!doctype html>\n<script src=\"/socket.io/socket.io.js\"></script>\n<script src=\"" + latest + "\"></script>\n<p>안녕\n"
	copyHere = "/node_modules/webrtc-adapter/out/adapter.js"
	healed   = "<!doctype html>\n<script src=\"/socket.io/socket.io.js\"></script>\n<script src=\"" + copyHere + "\"></script>\n<p>안녕\n"
)

// internet is what a test has instead of the real one.
type internet struct {
	mu    sync.Mutex
	err   error
	asked []string
	clock time.Time
	told  []Unreached
}

// behind makes a site whose pages live with this internet.
func (n *internet) behind(t *testing.T, dir string) *site {
	t.Helper()
	s := testSite(t, dir)
	n.clock = time.Unix(1_700_000_000, 0)
	s.adapters = newAdapters(func(u Unreached) { n.told = append(n.told, u) })
	s.adapters.now = func() time.Time { return n.clock }
	s.adapters.reach = func(_ context.Context, address string) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asked = append(n.asked, address)
		return n.err
	}
	return s
}

func offline() *internet { return &internet{err: errors.New("cut off")} }

// With internet, not a byte of any page is touched, and nothing is said.
func TestAdapterFromTheInternet(t *testing.T) {
	n := &internet{}
	dir := folder(t, map[string]string{"index.html": codelab, copyHere: "adapter"})
	s := n.behind(t, dir)
	for range 3 {
		resp := get(s, "GET", "/")
		if got := body(resp); got != codelab || resp.Header.Get("Last-Modified") == "" {
			t.Errorf("served %q with %v", got, resp.Header)
		}
	}
	if len(n.told) != 0 || !slices.Equal(n.asked, []string{latest}) {
		t.Errorf("told %v, asked %v", n.told, n.asked)
	}
}

// Without it, the page gets the folder's copy, with a length, a tag and ranges of
// its own; the terminal hears of it once.
func TestAdapterFromTheFolder(t *testing.T) {
	n := offline()
	s := n.behind(t, folder(t, map[string]string{"index.html": codelab, copyHere: "the adapter"}))
	resp := get(s, "GET", "/")
	if got := body(resp); got != healed || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("served %q with %v", got, resp.Header)
	}
	if got := body(get(s, "GET", copyHere)); got != "the adapter" {
		t.Errorf("the copy is %q", got)
	}
	tag := resp.Header.Get("ETag")
	if resp := get(s, "HEAD", "/"); resp.ContentLength != int64(len(healed)) || resp.Header.Get("ETag") != tag || body(resp) != "" {
		t.Errorf("HEAD: length %d, tag %s; GET had %d, %s", resp.ContentLength, resp.Header.Get("ETag"), len(healed), tag)
	}
	at := strings.Index(healed, copyHere)
	resp = get(s, "GET", "/", "Range", fmt.Sprintf("bytes=%d-%d", at, at+len(copyHere)-1), "If-Range", tag)
	if got := body(resp); resp.StatusCode != 206 || got != copyHere {
		t.Errorf("range: %d, %q", resp.StatusCode, got)
	}
	if resp := get(s, "GET", "/", "If-None-Match", tag); resp.StatusCode != 304 {
		t.Errorf("unchanged: %d", resp.StatusCode)
	}
	// Nor may a browser keep the page by its file's time, which says nothing of this.
	future := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if resp := get(s, "GET", "/", "If-Modified-Since", future); resp.StatusCode != 200 || resp.Header.Get("Last-Modified") != "" {
		t.Errorf("by time: %d, %v", resp.StatusCode, resp.Header)
	}
	want := Unreached{Event: "unreached", Time: n.clock, Page: "/", Address: latest, Reason: "cut off", Copy: copyHere[1:]}
	if !slices.Equal(n.told, []Unreached{want}) {
		t.Errorf("told %+v", n.told)
	}

	// The internet comes back: within a minute nobody asks, then the page is whole again.
	n.err = nil
	n.clock = n.clock.Add(reachAgain - time.Second)
	if got := body(get(s, "GET", "/")); got != healed || len(n.asked) != 1 {
		t.Errorf("within the minute: asked %d times, served %q", len(n.asked), got)
	}
	n.clock = n.clock.Add(time.Second)
	resp = get(s, "GET", "/", "If-None-Match", tag)
	if got := body(resp); resp.StatusCode != 200 || got != codelab || resp.Header.Get("ETag") == tag || len(n.asked) != 2 {
		t.Errorf("after it: %d, asked %d times, served %q", resp.StatusCode, len(n.asked), got)
	}
}

// Without a copy the page is what it is; once there is one, it is used.
func TestAdapterWithoutACopy(t *testing.T) {
	n := offline()
	dir := folder(t, map[string]string{"index.html": codelab})
	s := n.behind(t, dir)
	for range 2 {
		if got := body(get(s, "GET", "/")); got != codelab {
			t.Errorf("served %q", got)
		}
	}
	file := filepath.Join(dir, filepath.FromSlash(copyHere))
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("1"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if got := body(get(s, "GET", "/")); got != healed {
		t.Errorf("with a copy: %q", got)
	}
	if len(n.told) != 2 || n.told[0].Copy != "" || n.told[1].Copy == "" {
		t.Errorf("told %+v", n.told)
	}
}

// The copy is looked for beside the page and above it, never outside the folder.
func TestAdapterCopyIsOfTheFolder(t *testing.T) {
	outer := folder(t, map[string]string{
		copyHere: "outside", "site/index.html": codelab, "site/a b&copy/page.htm": codelab, "site/a b&copy/deep/page.html": codelab,
		"site/a b&copy" + copyHere: "inner", "site/dir/page.html": codelab, "site/dir" + copyHere + "/x": "a folder of that name",
		"site/page.txt": codelab, "site/.hidden" + copyHere: "hidden",
	})
	n := offline()
	s := n.behind(t, filepath.Join(outer, "site"))
	const quoted = `src="/a%20b&amp;copy` + copyHere + `"`
	for path, want := range map[string]string{
		"/": latest, "/dir/page.html": latest, "/page.txt": latest,
		"/a%20b&copy/page.htm": quoted, "/a%20b&copy/deep/page.html": quoted,
	} {
		if got := body(get(s, "GET", path)); !strings.Contains(got, want) {
			t.Errorf("%s: served %q, want %s in it", path, got, want)
		}
	}
	if got := body(get(s, "GET", "/a%20b&copy"+copyHere)); got != "inner" {
		t.Errorf("the copy is %q", got)
	}
	for _, u := range n.told {
		if u.Page == "/page.txt" {
			t.Errorf("told of a text: %+v", u)
		}
	}
}

// pnpm keeps packages in a folder with a dot, and links to it.
func TestAdapterOfPNPM(t *testing.T) {
	const store = "node_modules/.pnpm/webrtc-adapter@9.0.6/node_modules/webrtc-adapter"
	dir := folder(t, map[string]string{"index.html": codelab, store + "/out/adapter.js": "pnpm's", ".pnpm/x.html": "x"})
	link(t, strings.TrimPrefix(store, "node_modules/"), filepath.Join(dir, "node_modules", "webrtc-adapter"))
	s := offline().behind(t, dir)
	if got := body(get(s, "GET", "/")); got != healed {
		t.Errorf("served %q", got)
	}
	if got := body(get(s, "GET", copyHere)); got != "pnpm's" {
		t.Errorf("the copy is %q", got)
	}
	check(t, s, []answer{{"/.pnpm/x.html", 404, ""}})
}

func TestAdapterAddresses(t *testing.T) {
	n := offline()
	dir := folder(t, map[string]string{"index.html": "x", copyHere: "1"})
	s := n.behind(t, dir)
	for tag, changed := range map[string]bool{
		`<script src="https://webrtc.github.io/adapter/adapter-7.3.0.js"></script>`:        true,
		`<script src='http://webrtc.github.io/adapter/adapter-latest.js'></script>`:        true,
		`<script async src=//WebRTC.GitHub.io/adapter/adapter-6.4.0.js></script>`:          true,
		`<script src="https://webrtc.github.io/adapter/adapter-latest.js?v=1#x"></script>`: true,
		`<script src="https://webrtc.github.io/adapter/adapter-latest.jsx"></script>`:      false,
		`<script src="https://webrtc.github.io.evil.example/adapter/adapter-1.js">`:        false,
		`<script src="https://webrtc.github.io/samples/adapter-latest.js"></script>`:       false,
		`<script src="js/adapter-latest.js"></script>`:                                     false,
		`<script src="https://cdn.example/webrtc.github.io/adapter/adapter-latest.js">`:    false,
		`<p title="https://webrtc.github.io/adapter/adapter-latest.js">`:                   false,
		`<a href="https://webrtc.github.io/adapter/adapter-latest.js">`:                    false,
		`<!-- <script src="https://webrtc.github.io/adapter/adapter-latest.js"> -->`:       false,
	} {
		if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(tag+"."), 0o644); err != nil {
			t.Fatal(err)
		}
		n.told = nil
		got := body(get(s, "GET", "/"))
		if is := strings.Contains(got, copyHere); is != changed || !changed && got != tag+"." || len(n.told) > 1 {
			t.Errorf("%s: served %s, told %v", tag, got, n.told)
		}
	}
	slices.Sort(n.asked)
	if want := []string{
		"https://WebRTC.GitHub.io/adapter/adapter-6.4.0.js",
		"https://webrtc.github.io/adapter/adapter-7.3.0.js", "https://webrtc.github.io/adapter/adapter-latest.js?v=1#x",
	}; !slices.Equal(n.asked, want) {
		t.Errorf("asked for %q", n.asked)
	}
}

// A page that is served over https may not load a script over http, whether there is
// internet or not: nobody asks then.
func TestAdapterOverHTTP(t *testing.T) {
	n := &internet{}
	page := strings.Replace(codelab, latest, "HTTP://webrtc.github.io/adapter/adapter-latest.js", 1)
	s := n.behind(t, folder(t, map[string]string{"index.html": page, copyHere: "1"}))
	if got := body(get(s, "GET", "/")); got != healed {
		t.Errorf("served %q", got)
	}
	if len(n.asked) != 0 || len(n.told) != 1 || !strings.Contains(n.told[0].Reason, "over http") {
		t.Errorf("asked for %q, told %+v", n.asked, n.told)
	}
}

// The terminal names a page as its address has it.
func TestAdapterNamesThePage(t *testing.T) {
	n := offline()
	s := n.behind(t, folder(t, map[string]string{"index.html": codelab, "myindex.html": codelab, "dir/index.html": codelab, "dir/myindex.html": codelab}))
	for path, want := range map[string]string{"/": "/", "/myindex.html": "/myindex.html", "/dir/": "/dir/", "/dir/myindex.html": "/dir/myindex.html"} {
		n.told = nil
		get(s, "GET", path)
		if len(n.told) != 1 || n.told[0].Page != want {
			t.Errorf("%s: told %+v", path, n.told)
		}
	}
}

// A page that demands a certain content would refuse the copy; the next tag of the
// same page is none of its business.
func TestAdapterWithIntegrity(t *testing.T) {
	n := offline()
	strict := `<script integrity="sha384-x" src="` + latest + `"></script>`
	s := n.behind(t, folder(t, map[string]string{
		"index.html": strict, "both.html": strict + `<script src="https://webrtc.github.io/adapter/adapter-8.2.3.js"></script>`, copyHere: "1",
	}))
	if got := body(get(s, "GET", "/")); got != strict {
		t.Errorf("served %s", got)
	}
	if len(n.told) != 1 || !n.told[0].Integrity {
		t.Errorf("told %+v", n.told)
	}
	if got := body(get(s, "GET", "/both.html")); got != strict+`<script src="`+copyHere+`"></script>` {
		t.Errorf("served %s", got)
	}
	if len(n.told) != 3 {
		t.Errorf("told %+v", n.told)
	}
}

// Only pages of a usual size are looked through.
func TestAdapterInALargePage(t *testing.T) {
	n := offline()
	fits, over := codelab+strings.Repeat(" ", maxPage-len(codelab)), codelab+strings.Repeat(" ", maxPage+1-len(codelab))
	s := n.behind(t, folder(t, map[string]string{"index.html": fits, "over.html": over, copyHere: "1"}))
	if got := body(get(s, "GET", "/")); !strings.HasPrefix(got, healed) || len(got) != len(healed)+len(fits)-len(codelab) {
		t.Errorf("a page of the largest size: served %d bytes", len(got))
	}
	if got := body(get(s, "GET", "/over.html")); got != over {
		t.Error("a page over the size is changed")
	}
}

// Pages that are opened at the same moment ask once, and wait for the one answer.
func TestAdapterIsAskedForOnce(t *testing.T) {
	n := offline()
	s := n.behind(t, folder(t, map[string]string{"index.html": codelab, copyHere: "1"}))
	var asked atomic.Int32
	answer, again := make(chan struct{}), make(chan struct{}, 8)
	s.adapters.reach = func(ctx context.Context, _ string) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > reachTime {
			t.Errorf("the page waits until %v", deadline)
		}
		if asked.Add(1) > 1 {
			again <- struct{}{}
		}
		<-answer
		return errors.New("cut off")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := body(get(s, "GET", "/")); got != healed {
				t.Errorf("served %q", got)
			}
		})
	}
	select {
	case <-again: // none of them waits for another
	case <-time.After(100 * time.Millisecond):
	}
	close(answer)
	all.Wait()
	if asked.Load() != 1 || len(n.told) != 1 {
		t.Errorf("asked %d times, told %v", asked.Load(), n.told)
	}
}

// reachScript tells an answer with a script from others and from none.
func TestReachScript(t *testing.T) {
	status := http.StatusOK
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			t.Errorf("asked with %s", r.Method)
		}
		if r.URL.Path == "/hangs" {
			<-hang
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := reachScript(ctx, srv.URL+"/a.js"); err != nil {
		t.Error(err)
	}
	status = http.StatusNotFound
	if err := reachScript(ctx, srv.URL+"/a.js"); err == nil || whyUnreached(err) != "the answer is 404 Not Found" {
		t.Errorf("404: %v", err)
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if err := reachScript(short, srv.URL+"/hangs"); err == nil || whyUnreached(err) != "no answer within 1s" {
		t.Errorf("no answer: %v", err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if err := reachScript(ctx, "http://"+closed.Addr().String()+"/a.js"); err == nil || !strings.Contains(whyUnreached(err), "refused") || strings.Contains(whyUnreached(err), "a.js") {
		t.Errorf("nobody there: %v", err)
	}
	if got := whyUnreached(fmt.Errorf("asking: %w", &net.DNSError{Name: "webrtc.github.io"})); got != "the name webrtc.github.io cannot be looked up" {
		t.Error(got)
	}
}

// What a request tells after the server has ended is lost, and harms nothing.
func TestEventsAfterTheEnd(t *testing.T) {
	var heard []Event
	e := newEvents(func(ev Event) { heard = append(heard, ev) })
	e.send(Stopping{Event: "stopping"})
	e.finish(t.Context())
	e.send(Unreached{Event: "unreached"})
	if len(heard) != 1 {
		t.Errorf("heard %v", heard)
	}
	b, err := json.Marshal(Unreached{Event: "unreached", Page: "/", Address: latest, Reason: "r"})
	if err != nil || !strings.HasSuffix(string(b), `"page":"/","address":"`+latest+`","reason":"r"}`) {
		t.Errorf("%s, %v", b, err)
	}
}
