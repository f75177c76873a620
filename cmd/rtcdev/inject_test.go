//go:build unix

package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// plainPage is a page of somebody who never heard of rtcdev.
const plainPage = `<!doctype html><html lang="en"><head><meta charset="utf-8">%s<link rel="icon" href="data:,">
<title>plain</title></head><body><p>A page.</p></body></html>`

// urlsOf is JavaScript for the ICE servers' addresses that a configuration leads to.
func urlsOf(config string) string {
	return fmt.Sprintf(`JSON.stringify(new RTCPeerConnection(%s).getConfiguration().iceServers.flatMap((s) => s.urls))`, config)
}

// wantServers checks the addresses that JavaScript returns.
func (v *visitor) wantServers(js string, want ...string) {
	v.t.Helper()
	var got []string
	if err := json.Unmarshal([]byte(v.get(js)), &got); err != nil {
		v.t.Fatalf("%s: %s: %v", v.name, js, err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		v.t.Errorf("%s: %s\ngives %q\nwant  %q", v.name, js, got, want)
	}
}

// localServers are the addresses of the server's own STUN, and TURN.
func (s *server) localServers() (stun string, turn []string) {
	at := fmt.Sprintf("localhost:%d", s.ready.Port)
	return "stun:" + at, []string{"turn:" + at + "?transport=tcp", "turn:" + at + "?transport=udp", "turns:" + at + "?transport=tcp"}
}

// browsers are a Chromium and a Firefox for the account.
func (a *account) browsers() []*visitor { return []*visitor{a.withChromium(), a.withFirefox()} }

// Whatever a page asks for, its connections have the local servers, too.
func TestInjectedServers(t *testing.T) {
	a := newAccount(t)
	a.trust()
	dir := a.pages(map[string]string{
		"index.html": fmt.Sprintf(plainPage, ""),
		"out.html":   fmt.Sprintf(plainPage, `<meta name="rtcdev" content="no-inject">`),
	})
	s, alone := a.serve(dir, "--port", "0"), a.serve(dir, "--port", "0", "--no-inject")
	stun, turn := s.localServers()
	with := func(more ...string) []string { return append(more, turn...) }
	for _, v := range a.browsers() {
		v.t = t
		v.open(s.ready.URL + "?bare")
		for _, config := range []string{"", "null", "undefined", "{}", "{ iceServers: [] }", "{ iceServers: undefined }", "Object.freeze({ iceServers: [] })"} {
			v.wantServers(urlsOf(config), with(stun)...)
		}
		const google = "stun:stun.l.google.com:19302"
		v.wantServers(urlsOf(`{ iceServers: [{ urls: "`+google+`" }] }`), with(google)...)
		v.wantServers(urlsOf(`new (class { get iceServers() { return [{ urls: "`+google+`" }]; } })`), with(google)...)
		const theirs = `{ iceServers: [{ urls: ["turn:turn.example.com", "turns:turn.example.com"], username: "u", credential: "c" }] }`
		own := []string{"turn:turn.example.com", "turns:turn.example.com"}
		if v.name == "Firefox" { // it warns of five
			v.wantServers(urlsOf(theirs), append(own, turn[:2]...)...)
		} else {
			v.wantServers(urlsOf(theirs), with(append(own, stun)...)...)
		}
		// What has them already does not get them twice.
		v.wantServers(`fetch("/_rtcdev/ice").then((a) => a.json()).then((c) => `+urlsOf("c")+`)`, with(stun)...)
		v.wantServers(`(() => { const pc = new RTCPeerConnection(); pc.setConfiguration({}); return JSON.stringify(pc.getConfiguration().iceServers.flatMap((s) => s.urls)); })()`, with(stun)...)
		if got := v.get(`new RTCPeerConnection({ iceServers: [], iceTransportPolicy: "relay", bundlePolicy: "max-bundle" }).getConfiguration().bundlePolicy + new RTCPeerConnection().getConfiguration().iceTransportPolicy`); got != "max-bundleall" {
			t.Errorf("%s: other settings are %s", v.name, got)
		}
		v.open(s.ready.URL + "?bare&rtcdev-relay")
		if got := v.get(`new RTCPeerConnection().getConfiguration().iceTransportPolicy`); got != "relay" {
			t.Errorf("%s: with ?rtcdev-relay connections use %s", v.name, got)
		}
		for _, url := range []string{s.ready.URL + "out.html?bare&rtcdev-relay", alone.ready.URL + "?bare&rtcdev-relay"} {
			v.open(url)
			v.wantServers(urlsOf(""))
			if got := v.get(`new RTCPeerConnection(null).getConfiguration().iceTransportPolicy + document.scripts.length`); got != "all0" {
				t.Errorf("%s: %s is not left alone: %s", v.name, url, got)
			}
		}
		v.wantQuietConsole()
	}
}

// behaviour is JavaScript that tells how RTCPeerConnection behaves: a line for each
// question. It is the same with the script and without.
const behaviour = `(async () => {
	const tell = (what) => {
		try { return String(what()); } catch (error) { return error.name + ": " + error.message; }
	};
	class Mine extends RTCPeerConnection {
		constructor(config) { super(config); this.mine = true; }
		hello() { return "hello"; }
	}
	const pc = new RTCPeerConnection(), mine = new Mine(null);
	const answers = [
		pc instanceof RTCPeerConnection, mine instanceof Mine, mine instanceof RTCPeerConnection, mine.mine, mine.hello(),
		pc.constructor === RTCPeerConnection, mine.constructor === Mine, Object.getPrototypeOf(pc) === RTCPeerConnection.prototype,
		RTCPeerConnection.name, RTCPeerConnection.length, RTCPeerConnection.prototype.constructor === RTCPeerConnection,
		Object.keys(RTCPeerConnection.prototype).join(), Object.getOwnPropertyNames(RTCPeerConnection).join(),
		Object.prototype.toString.call(pc), RTCPeerConnection.prototype.setConfiguration.length, RTCPeerConnection.prototype.setConfiguration.name,
		JSON.stringify(Object.getOwnPropertyDescriptor(window, "RTCPeerConnection")),
		JSON.stringify(Object.getOwnPropertyDescriptor(RTCPeerConnection.prototype, "setConfiguration")),
		window.webkitRTCPeerConnection === undefined || window.webkitRTCPeerConnection === RTCPeerConnection,
		(await RTCPeerConnection.generateCertificate({ name: "ECDSA", namedCurve: "P-256" })).constructor.name,
		tell(() => new RTCPeerConnection({ certificates: [] }).getConfiguration().certificates.length),
	];
	for (const wrong of [
		"5", "'text'", "Symbol()", "{ iceServers: null }", "{ iceServers: 5 }", "{ iceServers: false }", "{ iceServers: {} }", "{ iceServers: [null] }", "{ iceServers: [{}] }",
		"{ iceServers: [5] }", "{ iceServers: [{ urls: 'http://example.com' }] }", "{ iceServers: [{ urls: [] }] }", "{ iceServers: [{ urls: 'turn:example.com' }] }",
		"{ iceTransportPolicy: 'none' }", "{ bundlePolicy: 'x' }", "{ certificates: [5] }", "{ get iceServers() { throw new Error('mine'); } }",
	]) {
		answers.push(wrong + " " + tell(() => new RTCPeerConnection(eval("(" + wrong + ")")).getConfiguration().iceTransportPolicy));
		answers.push(wrong + " " + tell(() => pc.setConfiguration(eval("(" + wrong + ")"))));
	}
	answers.push(tell(() => RTCPeerConnection()), tell(() => RTCPeerConnection.prototype.setConfiguration.call({}, {})));
	return answers.join("\n");
})()`

// Apart from the servers nothing is changed: each answer is that of the browser alone.
func TestInjectedPageBehaves(t *testing.T) {
	a := newAccount(t)
	a.trust()
	dir := a.pages(map[string]string{"index.html": fmt.Sprintf(plainPage, "")})
	s, alone := a.serve(dir, "--port", "0"), a.serve(dir, "--port", "0", "--no-inject")
	for _, v := range a.browsers() {
		v.open(alone.ready.URL + "?bare")
		want := strings.Split(v.get(behaviour), "\n")
		v.open(s.ready.URL + "?bare")
		for i, got := range strings.Split(v.get(behaviour), "\n") {
			if got != want[i] {
				t.Errorf("%s: with the script: %s\nwithout: %s", v.name, got, want[i])
			}
		}
		v.wantQuietConsole()
	}
}

// webrtc-adapter, which changes RTCPeerConnection as well, comes after the script.
func TestInjectedPageWithAdapter(t *testing.T) {
	adapter, err := os.ReadFile(counterpart(t, "webrtc-adapter/out/adapter.js"))
	if err != nil {
		t.Fatal(err)
	}
	a := newAccount(t)
	a.trust()
	s := a.serve(a.pages(map[string]string{"index.html": fmt.Sprintf(plainPage, ""), "adapter.js": string(adapter)}), "--port", "0")
	for _, v := range a.browsers() {
		v.open(s.ready.URL + "?bare")
		v.get(`new Promise((done, fail) => {
			const script = document.createElement("script");
			script.src = "adapter.js";
			script.onload = done;
			script.onerror = fail;
			document.head.append(script);
		})`)
		stun, turn := s.localServers()
		v.wantServers(urlsOf("null"), append(turn, stun)...)
		if got := v.get(`adapter.browserDetails.browser`); got != map[string]string{"Chromium": "chrome", "Firefox": "firefox"}[v.name] {
			t.Errorf("%s: adapter sees %s", v.name, got)
		}
		v.wantQuietConsole()
	}
}

// Two plain pages, in two browsers, that name no server: signaling is by this test.
func TestInjectedPagesConnect(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.pages(map[string]string{"index.html": fmt.Sprintf(plainPage, "")}), "--port", "0")
	both := a.browsers()
	for _, v := range both {
		v.open(s.ready.URL + "?rtcdev-relay")
		v.get(`void (window.pc = new RTCPeerConnection(), window.channel = pc.createDataChannel("x", { negotiated: true, id: 0 }),
			channel.onmessage = ({ data }) => { window.heard = data; },
			window.gathered = new Promise((done) => { pc.onicecandidate = ({ candidate }) => candidate || done(); }))`)
	}
	const local = `gathered.then(() => JSON.stringify(pc.localDescription))`
	offer := both[0].get(`pc.setLocalDescription().then(() => ` + local + `)`)
	answer := both[1].get(`pc.setRemoteDescription(` + offer + `).then(() => pc.setLocalDescription()).then(() => ` + local + `)`)
	both[0].get(`pc.setRemoteDescription(` + answer + `)`)
	for i, v := range both {
		v.wait(`channel.readyState === "open"`)
		v.get(fmt.Sprintf(`channel.send("from %d")`, i))
	}
	for i, v := range both {
		v.wait(fmt.Sprintf(`window.heard === "from %d"`, 1-i))
		if got := v.get(selectedPair); !strings.HasPrefix(got, "relay") {
			t.Errorf("%s: the call goes by %s", v.name, got)
		}
		v.wantQuietConsole()
	}
}

// appWithPolicies is a server of pages with a policy of their own, as frameworks make them.
func appWithPolicies(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path, policy, head string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if policy != "" {
				w.Header().Set("Content-Security-Policy", policy)
			}
			fmt.Fprintf(w, plainPage, head)
		})
	}
	page("/nonce", "script-src 'nonce-a1b2'", `<script nonce="a1b2">window.own = true</script>`)
	page("/dynamic", "script-src 'strict-dynamic' 'nonce-a1b2'", "")
	page("/self", "default-src 'self'; img-src data:", "")
	page("/both", "default-src 'self' data:, script-src 'nonce-x' 'self'", "")
	page("/meta", "", `<meta http-equiv="Content-Security-Policy" content="script-src 'nonce-m'">`)
	page("/none", "default-src 'none'; img-src data:", "")
	page("/hash", "script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='", "")
	page("/meta-none", "", `<meta http-equiv="Content-Security-Policy" content="script-src 'none'">`)
	page("/sandbox", "sandbox allow-scripts", "")
	page("/frames", "", `<script>addEventListener("message", ({ data }) => { window.heard = data; })</script>`)
	page("/frame", "", `<script>parent.postMessage(String(new RTCPeerConnection().getConfiguration().iceServers.length), "*")</script>`)
	page("/fragment", "", "")
	mux.HandleFunc("GET /known", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Unix(1, 0), strings.NewReader(fmt.Sprintf(plainPage, "")))
	})
	mux.HandleFunc("GET /gzip", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			http.Error(w, "gzip only", http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		fmt.Fprintf(z, plainPage, "<!-- "+strings.Repeat("long ", 10_000)+" -->")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// A page's Content-Security-Policy is kept: pages that let no script of ours run go without
// it, and nothing is refused.
func TestInjectionKeepsPolicies(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--proxy", appWithPolicies(t))
	stun, turn := s.localServers()
	for _, v := range a.browsers() {
		for _, path := range []string{"nonce", "dynamic", "self", "both", "meta", "gzip"} {
			v.open(s.ready.URL + path + "?bare")
			v.wantServers(urlsOf(""), append([]string{stun}, turn...)...)
			v.wantQuietConsole()
		}
		for _, path := range []string{"none", "hash", "meta-none"} {
			v.open(s.ready.URL + path + "?bare")
			v.wantServers(urlsOf(""))
			v.wantQuietConsole()
			if !strings.Contains(s.log.String(), fmt.Sprintf("The page %q goes without", "/"+path)) {
				t.Errorf("nothing is said of /%s:\n%s", path, &s.log)
			}
		}
		// A page in a sandbox is nobody's: what it gets of the server must be in no way secret.
		v.open(s.ready.URL + "sandbox?bare")
		v.wantServers(urlsOf(""))
		v.wantQuietConsole()
		v.open(s.ready.URL + "frames?bare")
		v.get(`void (document.body.innerHTML = '<iframe sandbox="allow-scripts" src="/frame?bare"></iframe>')`)
		v.wait(`window.heard`)
		if got := v.get(`heard`); got != "0" {
			t.Errorf("%s: a frame in a sandbox has %s servers", v.name, got)
		}
		v.wantQuietConsole()
		v.open(s.ready.URL + "gzip?bare")
		if got := v.get(`fetch("/fragment").then((a) => a.text())`); got != fmt.Sprintf(plainPage, "") {
			t.Errorf("%s: a fragment that a script asks for is\n%s", v.name, got)
		}
		v.wantQuietConsole()
	}
}

// A browser may have kept a page from when the server ran with --no-inject, or without it.
func TestInjectionAndCaches(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--proxy", appWithPolicies(t))
	client := trustingClient(t, a.root())
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.ready.URL+"known", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("If-None-Match", `"1"`)
	r.Header.Set("If-Modified-Since", time.Unix(1, 0).UTC().Format(http.TimeFormat))
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 || !strings.Contains(string(page), "/_rtcdev/inject.js") {
		t.Errorf("a page that the browser knows without the script: %s %v\n%s", answer.Status, err, page)
	}
	alone := a.serve(a.emptyFolder("alone"), "--port", "0", "--no-inject")
	if code, script := ask(t, client, "GET", alone.ready.URL+"_rtcdev/inject.js", "", ""); code != 200 || script != "" {
		t.Errorf("with --no-inject the script is %d %s", code, script)
	}
}
