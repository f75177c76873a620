package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What scripts do to a page before its own begin.
const (
	// hearSignaling keeps what the server says in window.heard.
	hearSignaling = `
window.heard = [];
for (const name of ["WebSocket", "EventSource"]) {
	window[name] = class extends window[name] {
		constructor(...args) {
			super(...args);
			this.addEventListener("message", ({ data }) => heard.push(JSON.parse(data)));
		}
	};
}`
	withoutWebSocket = `delete window.WebSocket;`

	// A browser may refuse every WebSocket although it loads the page, as iOS does
	// after a click-through.
	refusedWebSocket = `
window.WebSocket = class {
	static OPEN = 1;
	readyState = 3;
	constructor() { setTimeout(() => { this.onerror?.(new Event("error")); this.onclose?.(new CloseEvent("close", { code: 1006 })); }); }
	close() {}
};`

	quietLineShown = `document.querySelector("#noWebSocket").offsetHeight > 0`
)

// openWith opens url in a browser of its own, in which the script runs before
// those of every page.
func (a *account) openWith(script, url string) *tab {
	a.t.Helper()
	p := a.startBrowser()
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPeerConnections + hearSignaling + script}); err != nil {
		a.t.Fatal(err)
	}
	do(p, "opening "+url, chromedp.Navigate(url))
	return p
}

// heard counts the messages of a type that the server has sent to the page.
func (p *tab) heard(kind string) int {
	p.t.Helper()
	return eval[int](p, fmt.Sprintf(`heard.filter(({ type }) => type === %q).length`, kind))
}

// A call needs no WebSocket, on one side or on both: the page finds out by itself,
// says so in one line, and all that works with one works without.
func TestCallWithoutWebSocket(t *testing.T) {
	for name, scripts := range map[string][2]string{
		"on one side":   {withoutWebSocket, ""},
		"on both sides": {withoutWebSocket, withoutWebSocket},
		"as on iOS":     {refusedWebSocket, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.trust()
			s := a.serve(a.emptyFolder("empty"), "--port", "0")
			first, second := a.openWith(scripts[0], s.ready.Room), a.openWith(scripts[1], s.ready.Room)
			first.wantVideo()
			second.wantVideo()
			first.chat(second, "hello without")
			second.chat(first, "안녕")
			first.wait(quietLineShown)
			if shown := eval[bool](second, quietLineShown); shown != (scripts[1] != "") {
				t.Errorf("the line about the WebSocket is shown at the second: %v", shown)
			}
			if *screenshots != "" {
				first.screenshot(filepath.Join(*screenshots, "no-websocket.png"), 1280, 800)
				first.screenshot(filepath.Join(*screenshots, "no-websocket-phone.png"), 390, 844)
			}

			// A page that is loaded again has said goodbye, so that there is room for it.
			do(first, "reloading", chromedp.Reload())
			first.wantVideo()
			second.wantVideo()
			first.chat(second, "back again")

			do(first, "hanging up", chromedp.Click("#hangupButton"))
			second.wait(`document.body.dataset.state === "left"`)
			do(first, "joining again", chromedp.SendKeys("#cardButtons button", "\r"))
			first.wantVideo()
			second.wantVideo()

			do(first, "going away", chromedp.Navigate("about:blank"))
			second.wait(`document.body.dataset.state === "left" && heard.some(({ type }) => type === "peer-left")`)
			first.wantQuietConsole()
			second.wantQuietConsole()
		})
	}
}

// The line of one side is cut in a call, in the way of a phone that leaves its
// network. The other one is told nothing, and what was sent meanwhile arrives.
func TestLineThatIsCut(t *testing.T) {
	for name, script := range map[string]string{"WebSocket": "", "events": withoutWebSocket} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.trust()
			s := a.serve(a.emptyFolder("empty"), "--port", "0")
			network := newNetwork(t, s.ready.Port)
			first, second := a.openWith(script, network.room()), a.openWith("", s.ready.Room)
			first.wantVideo()
			second.wantVideo()
			third := a.startBrowser()

			// Both sides speak during the break, which is shorter than what the server allows.
			begin := time.Now()
			before := eval[string](first, iceUser)
			network.set(refusing)
			first.wait(`!document.querySelector("#note").hidden && document.querySelector("#note").textContent.includes("server")`)
			eval[bool](first, `testPCs[0].restartIce(), true`)
			first.wait(iceUser + ` !== "` + before + `"`)
			beforeSecond := eval[string](second, iceUser)
			eval[bool](second, `testPCs[0].restartIce(), true`)
			second.wait(iceUser + ` !== "` + beforeSecond + `"`)

			// Somebody who comes just then does not get the place.
			do(third, "opening the room", chromedp.Navigate(s.ready.Room))
			third.wait(`document.querySelector("#status").textContent.includes("full")`)

			network.set(open)
			t.Logf("the break lasted %v", time.Since(begin))
			eventually(t, "both agree on the connection", func() error {
				one, two := eval[string](first, iceUser), eval[string](second, iceUser)
				states := eval[string](first, "testPCs[0].signalingState") + eval[string](second, "testPCs[0].signalingState")
				if states != "stablestable" || eval[string](second, theirUser) != one || eval[string](first, theirUser) != two {
					return fmt.Errorf("%s: one is %s, two %s", states, one, two)
				}
				return nil
			})
			first.wait(`document.querySelector("#note").textContent === ""`)
			first.wantVideo()
			second.wantVideo()
			first.chat(second, "still here")
			wantUnnoticed(t, first, second)
			first.wantQuietConsole("net::ERR_") // the failed attempts meanwhile
			second.wantQuietConsole()
		})
	}
}

// wantUnnoticed checks that the first page has come back as who it was, and that
// nothing but signals went to the second.
func wantUnnoticed(t *testing.T, first, second *tab) {
	t.Helper()
	if n := first.heard("resumed"); n == 0 {
		t.Error("the page never took up its line again")
	}
	for _, p := range []*tab{first, second} {
		if joined, left := p.heard("welcome")+p.heard("peer-joined"), p.heard("peer-left"); joined > 2 || left > 0 {
			t.Errorf("the break was told: %d joined, %d left", joined, left)
		}
		if n := eval[int](p, "testPCs.length"); n != 1 {
			t.Errorf("the page made %d peer connections", n)
		}
	}
}

// A line can die without a word: the network is gone, but nobody closes. The page
// has to find out, at once when it is told of a new network, else by asking.
func TestLineThatFallsSilent(t *testing.T) {
	// Browsers put all requests to a server on one connection and see to its death
	// themselves, so that one without a WebSocket takes longer.
	for name, line := range map[string]struct {
		script      string
		told, asked time.Duration
	}{"WebSocket": {"", 15 * time.Second, 40 * time.Second}, "events": {withoutWebSocket, 40 * time.Second, patience}} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.trust()
			s := a.serve(a.emptyFolder("empty"), "--port", "0")
			one, two := newNetwork(t, s.ready.Port), newNetwork(t, s.ready.Port)
			first, second := a.openWith(line.script, one.room()), a.openWith(line.script, two.room())
			first.wantVideo()
			second.wantVideo()
			one.freeze()
			two.freeze()
			begin := time.Now()
			eval[bool](first, `dispatchEvent(new Event("online")), true`)
			first.wait(`heard.some(({ type }) => type === "resumed")`)
			told := time.Since(begin)
			second.wait(`heard.some(({ type }) => type === "resumed")`)
			if asked := time.Since(begin); told > line.told || asked > line.asked {
				t.Errorf("back after %v and %v", told, asked)
			}
			before := eval[string](first, theirUser)
			eval[bool](second, `testPCs[0].restartIce(), true`)
			first.wait(theirUser + ` !== "` + before + `"`)
			first.wantVideo()
			second.wantVideo()
			wantUnnoticed(t, first, second)
			first.wantQuietConsole()
			second.wantQuietConsole()
		})
	}
}

// A line that lives is asked and answers, and nothing else happens.
func TestLineThatLives(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	one := a.openWith("", s.ready.URL+"?room=one")
	two := a.openWith(withoutWebSocket, s.ready.URL+"?room=two")
	for _, p := range []*tab{one, two} {
		p.wait(`document.body.dataset.state === "waiting"`)
		eval[bool](p, `dispatchEvent(new Event("online")), true`)
		p.wait(`heard.some(({ type }) => type === "pong")`)
	}
	// Longer than an answer may take, and than a page may be silent.
	eval[bool](one, `new Promise((done) => setTimeout(() => done(true), 30_000))`)
	for _, p := range []*tab{one, two} {
		if got := eval[string](p, `heard.map(({ type }) => type).join(" ")`); !regexp.MustCompile(`^welcome( pong){2,4}$`).MatchString(got) {
			t.Errorf("the server said: %s", got)
		}
		p.wantQuietConsole()
	}
}

// While a connection is interrupted, the server keeps the other one's place: somebody
// who comes just then is the third, also where there is room.
func TestThirdPersonDuringAnInterruption(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--room-size", "4")
	first, second := call(a, s)
	eval[bool](first, `{
		Object.defineProperty(testPCs[0], "connectionState", { value: "disconnected", configurable: true });
		testPCs[0].dispatchEvent(new Event("connectionstatechange"));
	} true`)
	third := a.open(s.ready.Room)
	third.wait(`document.querySelector("#cardTitle").textContent.includes("Two people")`)
	s.event("peer-left")
	eval[bool](first, `delete testPCs[0].connectionState && testPCs[0].dispatchEvent(new Event("connectionstatechange"))`)
	first.wantVideo()
	second.wantVideo()
	for _, p := range []*tab{first, second} {
		if n := eval[int](p, "testPCs.length"); n != 1 {
			t.Errorf("the page made %d peer connections", n)
		}
		p.wantQuietConsole()
	}
}

// chosenDoor lets an address say, with &without=WebSocket, that its page has none.
const chosenDoor = `
if (new URLSearchParams(location.search).get("without") === "WebSocket") delete window.WebSocket;`

// goTo leaves the page, and shows the one of url.
func (p *tab) goTo(url string) {
	p.t.Helper()
	do(p, "going to "+url, chromedp.Navigate(url))
}

// Somebody who goes away while the line is broken, and comes back, is not shut out by
// the place that the server still keeps.
func TestNoGhosts(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	network := newNetwork(t, s.ready.Port)
	first, second := a.openWith(chosenDoor, "about:blank"), a.openWith("", "about:blank")
	lineIsBroken := func() {
		network.set(refusing)
		first.wait(`document.querySelector("#note").textContent.includes("server")`)
	}
	for _, without := range []string{"nothing", "WebSocket"} {
		t.Run("coming back without "+without, func(t *testing.T) {
			first.t, second.t = t, t
			query := "?room=back-" + without
			first.goTo(network.base() + query + "&without=" + without)
			second.goTo(s.ready.URL + query)
			second.wantVideo()
			lineIsBroken()
			first.goTo("about:blank")
			network.set(open)
			first.goTo(network.base() + query + "&without=" + without)
			begin := time.Now()
			first.wait(`document.body.dataset.state === "connected"`)
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("back in the call after %v", took)
			}
			if first.heard("error") > 0 {
				t.Errorf("the server said: %s", eval[string](first, `JSON.stringify(heard)`))
			}
			second.wantVideo()
			first.wantVideo()
		})
		t.Run("hanging up without "+without, func(t *testing.T) {
			first.t, second.t = t, t
			query := "?room=up-" + without
			first.goTo(network.base() + query + "&without=" + without)
			second.goTo(s.ready.URL + query)
			second.wantVideo()
			lineIsBroken()
			network.set(open)
			begin := time.Now()
			do(first, "hanging up", chromedp.Click("#hangupButton"))
			second.wait(`heard.some(({ type }) => type === "peer-left")`)
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("the other one is told after %v", took)
			}
		})
	}
	// What was said before may still be on its way.
	t.Run("leaving while messages are on their way", func(t *testing.T) {
		first.t, second.t = t, t
		second.goTo("about:blank")
		first.goTo(s.ready.URL + "messages.js?without=WebSocket")
		eval[bool](first, `(async () => {
			const { Signaling } = await import("/signaling.js");
			for (let i = 0; i < 9; i++) {
				let signaling;
				await new Promise((done) => signaling = new Signaling("beacon" + i, ({ type }) => type === "welcome" && done(), () => {}));
				heard.length = 0;
				signaling.send("nobody", 1); // who was never heard has no place that is kept
				while (heard.length === 0) await new Promise((done) => setTimeout(done, 20));
				const messages = [0, 1, 20][i % 3];
				for (let k = 0; k < messages; k++) signaling.send(undefined, { candidate: "x".repeat(300) });
				signaling.leave();
				sessionStorage.clear(); // no page comes after this one that could say it again
			}
			return true;
		})()`)
		begin := time.Now()
		eventually(t, "the server has no peer", func() error {
			if peers := eval[int](first, `fetch("/_rtcdev/health").then((answer) => answer.json()).then(({ peers }) => peers)`); peers > 0 {
				return fmt.Errorf("it has %d", peers)
			}
			return nil
		})
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("all are gone after %v", took)
		}
	})
}

// What was found out about WebSockets is believed for some minutes, not for ever, and
// a server that is full refuses none.
func TestWebSocketIsTriedAgain(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--limit", "connections=20")
	p := a.openWith(`
const refused = new URLSearchParams(location.search).has("refused");
window.doors = [];
for (const name of ["WebSocket", "EventSource"]) {
	window[name] = class extends window[name] {
		constructor(address) {
			super(refused && name === "WebSocket" ? "wss://localhost:1/" : address);
			doors.push(name);
		}
	};
}`, s.ready.URL+"?room=here&refused")
	isIn := `heard.some(({ type }) => type === "welcome")`
	refusedAt := func() string { return eval[string](p, `String(sessionStorage.getItem("webSocketRefusedAt"))`) }
	p.wait(quietLineShown + " && " + isIn)
	before := refusedAt()
	p.goTo(s.ready.URL + "?room=here")
	p.wait(quietLineShown + " && " + isIn)
	if after := refusedAt(); after != before || before == "null" {
		t.Errorf("the refusal was at %s; after a page that tried no WebSocket, at %s", before, after)
	}
	eval[bool](p, `sessionStorage.setItem("webSocketRefusedAt", Date.now() - 600_001), true`)
	p.goTo(s.ready.URL + "?room=here")
	p.wait(isIn)
	if doors := eval[string](p, `doors.join()`); doors != "WebSocket" {
		t.Errorf("ten minutes later it tried %s", doors)
	}
	eval[bool](p, `sessionStorage.clear(), true`)

	other := a.open(s.ready.URL + "messages.js")
	p.goTo(s.ready.URL + "messages.js")
	eval[bool](other, `new Promise((done) => {
		window.streams = Array.from({ length: 20 }, (_, i) => new EventSource("/_rtcdev/signal/events?room=" + i));
		let open = 0;
		for (const stream of streams) stream.onopen = () => ++open === 20 && done(true);
	})`)
	p.goTo(s.ready.URL + "?room=here")
	p.wait(`doors.length > 2`)
	eval[bool](other, `streams.forEach((stream) => stream.close()), true`)
	p.wait(isIn)
	if doors := eval[string](p, `[...new Set(doors)].join()`); doors != "WebSocket" || refusedAt() != "null" {
		t.Errorf("while the server was full it tried %s, and noted a refusal at %s", doors, refusedAt())
	}
}

// The line of text is in the reader's language, also while nobody else is there.
func TestNoWebSocketInKorean(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	p := a.openWith(withoutWebSocket+`
		Object.defineProperty(navigator, "languages", { value: ["ko-KR"] });`, s.ready.Room)
	p.wait(quietLineShown + ` && document.querySelector("#noWebSocket").textContent.startsWith("WebSocket을")`)
	p.wait(`document.body.dataset.state === "waiting"`)
	if *screenshots != "" {
		p.screenshot(filepath.Join(*screenshots, "no-websocket-waiting-ko.png"), 390, 844)
	}
	p.wantQuietConsole()
}

// Whoever shows a page's token takes its place; the page says that, and stops.
func TestCallContinuedElsewhere(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	p := a.openWith("", s.ready.Room)
	p.wait(`document.body.dataset.state === "waiting"`)
	token := eval[string](p, `heard[0].resume`)
	other := a.open(s.ready.URL + "messages.js")
	eval[bool](other, fmt.Sprintf(`new Promise((done) => {
		window.socket = new WebSocket("wss://" + location.host + "/_rtcdev/signal?seen=0&resume=" + %q);
		socket.onmessage = ({ data }) => done(JSON.parse(data).type === "resumed");
	})`, token))
	p.wait(`document.body.dataset.state === "replaced" && !document.querySelector("#card").hidden`)
	if *screenshots != "" {
		p.screenshot(filepath.Join(*screenshots, "replaced.png"), 1280, 800)
	}
	eval[bool](other, `new Promise((done) => setTimeout(() => done(socket.readyState === WebSocket.OPEN), 1000))`)
	p.wantQuietConsole()
}
