package peer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rtcdev/devserver/signaling"
)

// thePage is a page as simple as can be that takes part in a room as those of the call
// template do. It keeps what it sees in window.seen.
const thePage = `<!DOCTYPE html><video id="v" autoplay playsinline></video><script>
const seen = window.seen = { messages: [], delays: [], firstFrame: 0, errors: [] };
const room = new URLSearchParams(location.search).get("room");
const ws = new WebSocket("ws://" + location.host + "/_rtcdev/signal?room=" + room);
let pc, remote, polite, channel, makingOffer = false, chain = Promise.resolve();
const send = (data) => ws.send(JSON.stringify({ type: "signal", to: remote, data }));
async function describe() {
  makingOffer = true;
  await pc.setLocalDescription();
  send({ description: pc.localDescription });
  makingOffer = false;
}
function start() {
  pc = window.pc = new RTCPeerConnection();
  const canvas = document.createElement("canvas").getContext("2d").canvas;
  const drawing = canvas.getContext("2d");
  setInterval(() => { drawing.fillStyle = "hsl(" + Date.now() / 10 % 360 + " 90% 50%)"; drawing.fillRect(0, 0, 300, 150); }, 33);
  const stream = canvas.captureStream(30);
  const audio = new AudioContext(), tone = audio.createOscillator(), out = audio.createMediaStreamDestination();
  tone.connect(out); tone.start();
  for (const track of [...out.stream.getTracks(), ...stream.getTracks()]) pc.addTrack(track, stream);
  channel = pc.createDataChannel("chat", { negotiated: true, id: 0 });
  channel.onopen = () => channel.send("hello");
  channel.onmessage = ({ data }) => seen.messages.push(data);
  const own = pc.createDataChannel("own");
  own.onopen = () => own.send("own hello");
  own.onmessage = ({ data }) => seen.messages.push(data);
  pc.onicecandidate = ({ candidate }) => candidate && send({ candidate });
  pc.onnegotiationneeded = () => describe();
  const theirs = new MediaStream();
  pc.ontrack = ({ track }) => { theirs.addTrack(track); v.srcObject = theirs; };
}
async function negotiate({ description, candidate }) {
  if (candidate) return pc?.addIceCandidate(candidate).catch(() => {});
  if (!pc) start();
  const isOffer = description.type === "offer";
  if (isOffer && !polite && (makingOffer || pc.signalingState !== "stable")) return;
  if (!isOffer && pc.signalingState !== "have-local-offer") return;
  await pc.setRemoteDescription(description);
  if (isOffer) await describe();
}
ws.onmessage = ({ data }) => {
  const m = JSON.parse(data);
  if (m.type === "welcome" && m.peers.length) { remote = m.peers[0]; polite = true; seen.met = performance.now(); start(); }
  if (m.type === "peer-joined") { remote = m.peer; polite = false; seen.met = performance.now(); }
  if (m.type === "signal") chain = chain.then(() => negotiate(m.data)).catch((e) => seen.errors.push(String(e)));
};
// The time in the last rows of the picture: see the package comment of devserver/peer.
const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function look() {
  const shown = Date.now();
  seen.firstFrame ||= performance.now();
  if (v.videoWidth === 640) {
    copy.canvas.width = 640; copy.canvas.height = 480;
    copy.drawImage(v, 0, 0);
    const row = copy.getImageData(0, 456, 640, 1).data, bit = (i) => row[(16 * i + 8) * 4] > 127 ? 1 : 0;
    let ms = 0, ones = 0, sum = 0;
    for (let i = 2; i < 34; i++) { ms = ms * 2 + bit(i); ones += bit(i); }
    for (let i = 34; i < 40; i++) sum = sum * 2 + bit(i);
    if (bit(0) && !bit(1) && ones === sum) seen.delays.push((shown % 2 ** 32) - ms);
    // Chromium may announce its very first frame before it can be drawn.
    else if (seen.delays.length) seen.errors.push("no timestamp");
  }
  v.requestVideoFrameCallback(look);
}
v.requestVideoFrameCallback(look);
window.inbound = async () => {
  const r = { connection: pc?.connectionState };
  for (const s of (await pc?.getStats() ?? new Map()).values()) if (s.type === "inbound-rtp") {
    if (s.kind === "video") Object.assign(r, { frames: s.framesDecoded, keyFrames: s.keyFramesDecoded, lost: s.packetsLost });
    else Object.assign(r, { energy: s.totalAudioEnergy, level: s.audioLevel });
  }
  return r;
};
</script>`

type inbound struct {
	Connection              string
	Frames, KeyFrames, Lost int
	Energy, Level           float64
}

type seen struct {
	Messages, Errors []string
	Delays           []float64
	FirstFrame, Met  float64
}

// openPage shows url in a headless Chromium with a fresh profile.
func openPage(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing: apt-get install chromium")
		}
		t.Skip("chromium is missing: apt-get install chromium")
	}
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+home, "PATH="+os.Getenv("PATH")),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.WSURLReadTimeout(patience),
	)
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root
		options = append(options, chromedp.NoSandbox)
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return ctx
}

func eval[T any](t *testing.T, ctx context.Context, js string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("evaluating %s: %v", js, err)
	}
	return value
}

// Chromium decodes the picture, hears the tone, reads the time off a canvas and gets its
// messages back, whoever of the two comes first.
func TestChromium(t *testing.T) {
	tab := openPage(t)
	s := serve(t, signaling.Config{}, nil)
	mux := http.NewServeMux()
	mux.Handle(signalPath, s.hub)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(thePage))
	})
	plain := httptest.NewServer(mux) // loopback is a secure context without TLS
	t.Cleanup(plain.Close)
	for _, name := range []string{"page first", "peer first", "echo"} {
		t.Run(name, func(t *testing.T) {
			mode := Pattern
			if name == "echo" {
				mode = Echo
			}
			room := name[:4]
			var peer *running
			start := func() { peer = run(t, s.config(room, mode)) }
			if name == "peer first" {
				start()
				peer.until("the room", func(s Stats) bool { return s.Peer != "" })
			}
			if _, err := chromedp.Run(tab, chromedp.Navigate(plain.URL+"/?room="+room)); err != nil {
				t.Fatal(err)
			}
			if peer == nil {
				eventually(t, "the page in the room", func() bool { return s.hub.Stats().Peers == 1 })
				start()
			}
			watchPage(t, tab, mode)
			got := peer.until("media both ways", func(s Stats) bool { return s.Flowed && s.FramesReceived > 20 })
			t.Logf("the peer: %+v", got)
			peer.end()
			if _, err := chromedp.Run(tab, chromedp.Navigate("about:blank")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "an empty room", func() bool { return s.hub.Stats().Peers == 0 })
		})
	}
}

func watchPage(t *testing.T, tab context.Context, mode Mode) {
	t.Helper()
	var in inbound
	eventually(t, "frames and sound", func() bool {
		in = eval[inbound](t, tab, "inbound()")
		return in.Frames > 10 && in.Energy > 0
	})
	begun := time.Now()
	before := in
	eventually(t, "two seconds", func() bool { return time.Since(begun) > 2*time.Second })
	in = eval[inbound](t, tab, "inbound()")
	rate := float64(in.Frames-before.Frames) / time.Since(begun).Seconds()
	saw := eval[seen](t, tab, "seen")
	t.Logf("Chromium: %.1f frames a second, %+v; first frame after %.0f ms; messages %q", rate, in, saw.FirstFrame-saw.Met, saw.Messages)
	least := 25.0
	if mode == Echo {
		least = 10 // what the page's canvas gives under load
	}
	if rate < least || in.Energy <= before.Energy {
		t.Errorf("%.1f frames a second; energy %g, then %g", rate, before.Energy, in.Energy)
	}
	for _, m := range []string{"hello", "own hello"} {
		if !slices.Contains(saw.Messages, m) {
			t.Errorf("%q did not come back: %q", m, saw.Messages)
		}
	}
	if mode == Echo {
		return
	}
	if len(saw.Delays) < 20 || len(saw.Errors) > 0 {
		t.Fatalf("%d timestamps; errors %q", len(saw.Delays), saw.Errors)
	}
	slices.Sort(saw.Delays)
	median := saw.Delays[len(saw.Delays)/2]
	t.Logf("glass to glass: median %.0f ms, from %.0f to %.0f ms", median, saw.Delays[0], saw.Delays[len(saw.Delays)-1])
	if median < 0 || median > 1000 {
		t.Errorf("the picture is %.0f ms old", median)
	}
}
