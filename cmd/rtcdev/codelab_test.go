//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// counterpart is the path of something npm has installed for the tests.
func counterpart(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "scripts", "counterparts", "node_modules", filepath.FromSlash(name)))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		complain := t.Skip
		if os.Getenv("CI") == "true" {
			complain = t.Fatal
		}
		complain("install what is missing with npm ci --prefix scripts/counterparts: ", err)
	}
	return path
}

// cutOff keeps the account from the internet: its way there refuses everything.
func (a *account) cutOff() {
	a.t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "There is no internet here.", http.StatusBadGateway)
	}))
	a.t.Cleanup(proxy.Close)
	a.settings = append(a.settings, "HTTPS_PROXY="+proxy.URL, "HTTP_PROXY="+proxy.URL)
}

// codelabFolder has the old pages as they are, and webrtc-adapter as npm installs it.
func (a *account) codelabFolder() string {
	a.t.Helper()
	dir := filepath.Join(a.home, "codelab")
	adapter, err := os.ReadFile(counterpart(a.t, "webrtc-adapter/out/adapter.js"))
	out := filepath.Join(dir, "node_modules", "webrtc-adapter", "out")
	if err := errors.Join(err, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "codelab"))), os.MkdirAll(out, 0o755),
		os.WriteFile(filepath.Join(out, "adapter.js"), adapter, 0o644)); err != nil {
		a.t.Fatal(err)
	}
	return dir
}

// pair is two people at pages of the codelab: a and b.
type pair struct {
	t    *testing.T
	url  string
	a, b *visitor
}

// do does things in their order, such as "a opens, b opens, a allows": a page is
// opened, loaded again, left, or gets its camera; or one waits until it has made its
// offer.
func (p *pair) do(things string) {
	p.t.Helper()
	for _, thing := range strings.Split(things, ", ") {
		who, what, _ := strings.Cut(thing, " ")
		v := p.a
		if who == "b" {
			v = p.b
		}
		switch what {
		case "opens":
			v.open(p.url)
			v.wait(`asks > 0 && (isInitiator || isChannelReady)`) // it is in the room
		case "reloads":
			v.reload()
		case "leaves":
			v.open("about:blank")
		case "allows":
			v.wait(`asks > 0`)
			v.get(`allow()`)
			v.wait(`localStream`)
		case "offers":
			v.wait(`testPCs.length > 0 && testPCs.at(-1).localDescription`)
		default:
			p.t.Fatalf("nobody knows how one %s", what)
		}
	}
}

// wantCall checks that both see each other, and that no script failed on the way.
func (p *pair) wantCall() {
	p.t.Helper()
	for _, v := range []*visitor{p.a, p.b} {
		v.wantMoving()
		v.wantNoErrors()
	}
}

// Pages in the manner of the WebRTC codelab run on serve as they are, without Node
// and without the internet: whoever opens, reloads or allows the camera first.
func TestCodelabPages(t *testing.T) {
	a := newAccount(t)
	a.trust()
	a.cutOff()
	s := a.serve(a.codelabFolder(), "--port", "0")
	first := a.withChromium()
	for _, second := range []*visitor{a.withChromium(), a.withFirefox()} {
		t.Run("with "+second.name, func(t *testing.T) {
			first.t, second.t = t, t
			p := &pair{t: t, url: s.ready.URL, a: first, b: second}
			for _, part := range []struct {
				name string
				test func(*testing.T)
			}{
				{"orders", p.testOrders}, {"third person", p.testThirdPerson},
				{"without WebSocket", p.testWithoutWebSocket}, {"photos", p.testPhotos},
			} {
				if !t.Run(part.name, part.test) {
					t.FailNow() // what comes after it needs what it left
				}
			}
			p.do("a leaves, b leaves")
		})
	}
	first.chrom.t = t
	first.chrom.wantQuietConsole("favicon.ico", "willReadFrequently")
	wantSubstitution(t, s)
}

func (p *pair) with(t *testing.T) *pair {
	p.a.t, p.b.t = t, t
	return &pair{t: t, url: p.url, a: p.a, b: p.b}
}

func (p *pair) testOrders(t *testing.T) {
	p = p.with(t)
	for _, order := range []string{
		"a opens, a allows, b opens, b allows",
		"b reloads, b allows",
		"a reloads, a allows",
		"a reloads, b reloads, b allows, a allows",
		"b reloads, a reloads, b allows, a allows",
		"a leaves, b leaves, a opens, b opens, a allows, a offers, b allows",
		"a leaves, b leaves, a opens, b opens, b allows, a allows",
		"b leaves, a leaves, b opens, a opens, b allows, b offers, a allows",
		"b leaves, a leaves, b opens, a opens, a allows, b allows",
		"b leaves, a leaves, b opens, b allows, a opens, a allows",
	} {
		p.do(order)
		p.wantCall()
		if t.Failed() {
			t.Fatalf("no call after: %s", order)
		}
	}
	for _, v := range []*visitor{p.a, p.b} {
		if got := v.get(`adapter.browserDetails.browser + " " + printed.some(([name]) => name === "ipaddr")`); got != map[string]string{"Chromium": "chrome", "Firefox": "firefox"}[v.name]+" true" {
			t.Errorf("%s: adapter sees %s", v.name, got)
		}
	}
}

// A third person hears that the room is full, and is not heard.
func (p *pair) testThirdPerson(t *testing.T) {
	p = p.with(t)
	const state = `JSON.stringify([printed.length, testPCs.length])`
	before := [2]string{p.a.get(state), p.b.get(state)}
	ctx, cancel := chromedp.NewContext(p.a.chrom.ctx)
	defer cancel()
	third := visitTab(t, ctx)
	third.open(p.url)
	third.wait(`printed.some(([name, room]) => name === "full" && room === "foo")`)
	third.get(`allow()`)
	third.wait(`localVideo.videoWidth > 0`)
	third.wantNoErrors()
	third.open("about:blank")
	p.wantCall()
	if after := [2]string{p.a.get(state), p.b.get(state)}; after != before {
		t.Errorf("a third person changes something: before %v, after %v; %s", before, after, p.a.get(`JSON.stringify(printed)`))
	}
}

// The socket.io door needs no WebSocket in the page.
func (p *pair) testWithoutWebSocket(t *testing.T) {
	p = p.with(t)
	for _, v := range []*visitor{p.a, p.b} {
		v.get(`sessionStorage.setItem("withoutWebSocket", "yes")`)
		defer v.get(`sessionStorage.removeItem("withoutWebSocket")`)
	}
	for _, order := range []string{"a leaves, b leaves, a opens, b opens, b allows, a allows", "b reloads, b allows", "a reloads, a allows"} {
		p.do(order)
		p.wantCall()
	}
	const ways = `typeof WebSocket + " " + performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/socket.io/send"))`
	for _, v := range []*visitor{p.a, p.b} {
		if got := v.get(ways); got != "undefined true" {
			t.Errorf("%s: the call was not made without WebSocket: %s", v.name, got)
		}
	}
}

// The codelab's other page goes by ready, bye and created, and loads itself anew.
func (p *pair) testPhotos(t *testing.T) {
	p = p.with(t)
	p.do("a leaves, b leaves")
	p.url += "photos.html#album"
	const canSend = `video.videoWidth > 0 && !button.disabled`
	exchange := func() {
		t.Helper()
		for _, v := range []*visitor{p.a, p.b} {
			v.wait(`asks > 0`)
			v.get(`allow()`)
			v.wait(canSend)
		}
		for _, v := range []*visitor{p.a, p.b} {
			v.get(`button.click()`)
		}
		for _, v := range []*visitor{p.a, p.b} {
			v.wait(`photos.children.length === 1`)
			v.wantNoErrors()
		}
	}
	isIn := `printed.some(([name]) => name === "created" || name === "joined")`
	for _, v := range []*visitor{p.a, p.b} {
		v.open(p.url)
		v.wait(isIn)
	}
	exchange()
	for _, order := range [][2]*visitor{{p.b, p.a}, {p.a, p.b}} {
		order[1].get(`photos.textContent = ""`)
		order[0].reload()
		order[0].wait(isIn)
		exchange()
	}
}

// wantSubstitution checks that the terminal was told of the adapter, once per page.
func wantSubstitution(t *testing.T, s *server) {
	t.Helper()
	for _, page := range []string{"/", "/photos.html"} {
		e := s.event("unreached")
		if e["page"] != page || e["copy"] != "node_modules/webrtc-adapter/out/adapter.js" || !strings.HasSuffix(fmt.Sprint(e["address"]), "//webrtc.github.io/adapter/adapter-latest.js") {
			t.Errorf("event %v", e)
		}
	}
	text := s.log.String()
	for _, line := range []string{"The page / loads https://webrtc.github.io/adapter/adapter-latest.js,\n", "(Bad Gateway).\n", "Served instead: node_modules/webrtc-adapter/out/adapter.js\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("the terminal does not say %q:\n%s", line, text)
		}
	}
	if n := strings.Count(text, "webrtc.github.io"); n != 2 {
		t.Errorf("the terminal speaks of it %d times for two pages:\n%s", n, text)
	}
}

// Where the folder has no copy, the terminal names the command that gets one.
func TestAdapterOutOfReach(t *testing.T) {
	a := newAccount(t)
	a.cutOff()
	dir := a.emptyFolder("my pages")
	page := `<script src="https://webrtc.github.io/adapter/adapter-latest.js"></script>`
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	s := a.serve(dir, "--port", "0")
	resp, err := trustingClient(t, a.root()).Get(s.ready.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != page {
		t.Errorf("the page is served as %s, %v", got, err)
	}
	if e := s.event("unreached"); e["copy"] != nil || e["page"] != "/" {
		t.Errorf("event %v", e)
	}
	s.interrupt()
	if want := "npm install --prefix '" + dir + "' webrtc-adapter\n"; !strings.Contains(s.log.String(), want) {
		t.Errorf("the terminal does not say %q:\n%s", want, &s.log)
	}
}

// Two programs with npm's socket.io-client, of every version people have, exchange
// in a room through the real server; Node trusts its root and nothing else of ours.
func TestSocketIOClients(t *testing.T) {
	need(t, "node", "nodejs")
	counterpart(t, "socket.io-client-4") // or nothing at all is run
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	script, err := filepath.Abs(filepath.Join("testdata", "clients", "room.cjs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, versions := range [][2]string{{"1", "1"}, {"2", "2"}, {"3", "3"}, {"4", "4"}, {"1", "4"}, {"2", "3"}} {
		t.Run(strings.Join(versions[:], " and "), func(t *testing.T) {
			cmd := a.command("node", script, s.ready.URL, "room of "+t.Name(),
				counterpart(t, "socket.io-client-"+versions[0]), counterpart(t, "socket.io-client-"+versions[1]))
			cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+a.root())
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "good\n" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	s.interrupt()
}
