//go:build unix

package main

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// firstFrame has a page wait in a room, and tells how many ms pass between the server's
// word that somebody has come and the first frame that the page shows of them.
const firstFrame = `void (window.first = new Promise((done) => {
	const socket = new WebSocket("wss://" + location.host + "/_rtcdev/signal?room=" + %q);
	const pc = new RTCPeerConnection();
	const send = (data) => socket.send(JSON.stringify({ type: "signal", data }));
	let began;
	let order = Promise.resolve();
	pc.onicecandidate = ({ candidate }) => candidate && send({ candidate });
	pc.ontrack = ({ track }) => {
		if (track.kind !== "video") return;
		const video = document.createElement("video");
		video.muted = true;
		video.srcObject = new MediaStream([track]);
		document.body.append(video);
		video.requestVideoFrameCallback(() => {
			done(performance.now() - began);
			socket.close();
			pc.close();
			video.remove();
		});
		video.play();
	};
	const hear = async ({ description, candidate }) => {
		if (candidate) return pc.addIceCandidate(candidate);
		await pc.setRemoteDescription(description);
		if (description.type !== "offer") return;
		await pc.setLocalDescription();
		send({ description: pc.localDescription });
	};
	window.waits = new Promise((inside) => (socket.onmessage = ({ data }) => {
		const message = JSON.parse(data);
		if (message.type === "welcome") inside("yes");
		if (message.type === "peer-joined") began = performance.now();
		if (message.type === "signal") order = order.then(() => hear(message.data));
	}));
}))`

// How soon a page sees a test peer that comes, of 20, in both browsers: printed. (What
// Chromium takes has a goal in scripts/bench peers.)
func TestPeerFirstFrame(t *testing.T) {
	a := newAccount(t)
	a.trust()
	page := "<!doctype html><html lang=en><link rel=icon href='data:,'><title>A page</title><body></body></html>"
	s := a.serve(a.pages(map[string]string{"index.html": page}), "--port", "0")
	for _, v := range []*visitor{a.withChromium(), a.withFirefox()} {
		t.Run(v.name, func(t *testing.T) {
			v.t = t
			v.open(s.ready.URL)
			var all []float64
			for i := range 20 {
				room := fmt.Sprintf("first-%s-%d", v.name, i)
				v.get(fmt.Sprintf(firstFrame, room))
				v.get("waits")
				p := a.peer(fmt.Sprintf("https://localhost:%d/?room=%s", s.ready.Port, room))
				ms, err := strconv.ParseFloat(v.get("first.then(String)"), 64)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, ms)
				p.interrupt()
			}
			slices.Sort(all)
			t.Logf("first frame: median %.0f ms, 95th percentile %.0f ms, %.0f to %.0f", all[10], all[18], all[0], all[19])
		})
	}
}
