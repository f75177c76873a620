package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Every way in which getUserMedia fails has a text of its own, and a way on.
func TestMediaFailuresAreExplained(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	reject := func(name, message string) string {
		return fmt.Sprintf(`navigator.mediaDevices.getUserMedia = async () => { throw new DOMException(%q, %q); };`, message, name)
	}
	permission := func(state string) string {
		return fmt.Sprintf(`navigator.permissions.query = async () => ({ state: %q });`, state)
	}
	devices := func(kinds string) string {
		return fmt.Sprintf(`navigator.mediaDevices.enumerateDevices = async () => %s.map(kind => ({ kind }));`, kinds)
	}
	failures := []struct{ name, script, title string }{
		{"dismissed", permission("prompt") + reject("NotAllowedError", "Permission dismissed"), "Camera and microphone were not allowed"},
		{"blocked", permission("denied") + reject("NotAllowedError", "Permission denied"), "Camera or microphone is blocked for this page"},
		{"by the system", reject("NotAllowedError", "Permission denied by system"), "The system does not let the browser use the camera"},
		{"by policy", `(document.permissionsPolicy ?? document.featurePolicy).allowsFeature = () => false;` +
			reject("NotAllowedError", "Permission denied"), "This page may not use the camera or the microphone"},
		{"no camera", devices(`["audioinput"]`) + reject("NotFoundError", ""), "No camera was found"},
		{"no microphone", devices(`["videoinput"]`) + reject("NotFoundError", ""), "No microphone was found"},
		{"no device", devices(`[]`) + reject("NotFoundError", ""), "No camera and no microphone were found"},
		{"busy", reject("NotReadableError", "Could not start video source"), "The camera or microphone did not start"},
		{"overconstrained", `navigator.mediaDevices.getUserMedia = async () => { throw new OverconstrainedError("width"); };`, "No device here can do what the page asks"},
		{"aborted", reject("AbortError", ""), "The camera stopped while it was starting"},
		{"security", reject("SecurityError", ""), "Camera access is switched off for this page"},
		{"type", `navigator.mediaDevices.getUserMedia = async () => { throw new TypeError("At least one of audio and video must be requested"); };`, "The page asked for the camera in a wrong way"},
		{"not a secure context", `Object.defineProperty(navigator, "mediaDevices", { value: undefined }); Object.defineProperty(window, "isSecureContext", { value: false });`, "The camera only works on a secure page"},
		{"something new", reject("SurpriseError", "?"), "The camera could not be opened"},
		{"never answered", permission("prompt") + `navigator.mediaDevices.getUserMedia = () => new Promise(() => {});`, "Please allow the camera"},
	}
	p := a.startBrowser()
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			p.t = t
			p.inject(f.script, s.ready.Room)
			p.wait(fmt.Sprintf(`document.querySelector("#cardTitle").textContent === %q`, f.title))
			if f.name == "never answered" {
				return // it is only a hint: there is nothing to choose before the answer
			}
			if n := eval[int](p, `document.querySelectorAll("#cardLines p").length`); n < 2 {
				t.Errorf("the card has %d lines; it has to say why, and what to do", n)
			}
			if n := eval[int](p, `document.querySelectorAll("#cardButtons button").length`); n != 2 {
				t.Errorf("the card has %d buttons; there have to be two ways on", n)
			}
			p.wantQuietConsole()
		})
	}
	p.t = t

	// Going on without a camera leads into the room; Korean readers get Korean.
	p.inject(failures[1].script+`Object.defineProperty(navigator, "languages", { value: ["ko-KR"] }); Object.defineProperty(navigator, "language", { value: "ko-KR" });`, s.ready.Room)
	p.wait(`document.documentElement.lang === "ko" && document.querySelector("#cardTitle").textContent.includes("차단")`)
	do(p, "going on", chromedp.Click("#cardButtons button:last-child"))
	s.event("peer-joined")
	p.wantQuietConsole()
}

// inject loads url with a script that runs before the page's own.
func (p *tab) inject(script, url string) {
	p.t.Helper()
	added, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	if err != nil {
		p.t.Fatal(err)
	}
	do(p, "opening "+url, chromedp.Navigate(url))
	if _, err := chromedp.Call(p.ctx, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams(added)); err != nil {
		p.t.Fatal(err)
	}
}
