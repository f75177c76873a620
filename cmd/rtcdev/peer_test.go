//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rtcdev/devserver"
	"rtcdev/devserver/peer"
)

// A testPeer is a running `rtcdev peer --stats`.
type testPeer struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  syncBuffer
	err  syncBuffer
	over chan struct{}
}

func (a *account) peer(args ...string) *testPeer {
	a.t.Helper()
	p := &testPeer{t: a.t, cmd: a.command("rtcdev", append([]string{"peer", "--stats"}, args...)...), over: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	go func() {
		defer close(p.over)
		_ = p.cmd.Wait()
	}()
	a.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error means that it has ended
		<-p.over
	})
	return p
}

// stats are the lines that the peer has printed so far.
func (p *testPeer) stats() []peerEvent {
	p.t.Helper()
	var all []peerEvent
	for line := range strings.Lines(p.out.String()) {
		var e peerEvent
		if !strings.HasSuffix(line, "\n") { // it is still being written
			break
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			p.t.Fatalf("a line of --stats: %v\n%s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// until waits for a line that is as it should be.
func (p *testPeer) until(what string, good func(peer.Stats) bool) peer.Stats {
	p.t.Helper()
	var last peer.Stats
	eventually(p.t, what, func() error {
		select {
		case <-p.over:
			p.t.Fatalf("waiting for %s: the peer has ended: %s", what, &p.err)
		default:
		}
		if all := p.stats(); len(all) > 0 {
			last = all[len(all)-1].Stats
		}
		if !good(last) {
			return &screenError{fmt.Sprintf("%+v", last)}
		}
		return nil
	})
	return last
}

// wait waits for the end, and returns the exit code.
func (p *testPeer) wait() int {
	p.t.Helper()
	select {
	case <-p.over:
	case <-time.After(patience):
		p.t.Fatalf("the peer does not end: %s", &p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// interrupt is Ctrl-C.
func (p *testPeer) interrupt() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// watchPicture reads the time out of the remote picture, frame by frame: see the package
// comment of devserver/peer.
const watchPicture = `(() => {
	window.delays = [];
	const video = document.querySelector("#remoteVideo");
	if (video.paused) { // nobody has clicked: Firefox shows a picture without its sound only
		video.muted = true;
		video.play();
	}
	const drawing = new OffscreenCanvas(640, 480).getContext("2d", { willReadFrequently: true });
	const look = () => {
		const shown = Date.now();
		drawing.drawImage(video, 0, 0, 640, 480);
		const row = drawing.getImageData(0, 456, 640, 1).data;
		const bits = Array.from({ length: 40 }, (_, i) => row[(16 * i + 8) * 4] > 127 ? 1 : 0);
		const number = (from, to) => bits.slice(from, to).reduce((n, bit) => n * 2 + bit, 0);
		const ones = bits.slice(2, 34).reduce((n, bit) => n + bit, 0);
		if (bits[0] === 1 && bits[1] === 0 && number(34, 40) === ones) delays.push(shown % 2 ** 32 - number(2, 34));
		video.requestVideoFrameCallback(look);
	};
	video.requestVideoFrameCallback(look);
	return true;
})()`

// received is what the page's connection has got.
type received struct {
	Time                   float64 // milliseconds, of the browser
	Frames, Video, Packets int     // decoded; packets of video; of everything
	Energy                 float64
}

const receivedNow = `(async () => {
	const got = { time: performance.now(), frames: 0, video: 0, packets: 0, energy: 0 };
	for (const pc of testPCs.filter((pc) => pc.connectionState === "connected"))
		for (const s of (await pc.getStats()).values()) if (s.type === "inbound-rtp") {
			got.packets += s.packetsReceived;
			if (s.kind === "video") { got.frames += s.framesDecoded ?? 0; got.video += s.packetsReceived; }
			else got.energy += s.totalAudioEnergy ?? 0;
		}
	return JSON.stringify(got);
})()`

func (v *visitor) received() (r received) {
	v.t.Helper()
	if err := json.Unmarshal([]byte(v.get(receivedNow)), &r); err != nil {
		v.t.Fatal(err)
	}
	return r
}

// wantTestPicture checks that 25 frames a second and more are decoded, with sound, and
// tells how old they are when they are shown.
func (v *visitor) wantTestPicture() {
	v.t.Helper()
	v.wait(`document.querySelector("#remoteVideo").videoWidth === 640`)
	v.get(watchPicture)
	eventually(v.t, v.name+" sees a smooth picture", func() error { // a busy machine does not at once
		before := v.received()
		v.get(`new Promise((done) => setTimeout(done, 3000))`)
		after := v.received()
		rate := float64(after.Frames-before.Frames) / (after.Time - before.Time) * 1000
		v.t.Logf("%s: %.1f frames a second, audio energy %.3g a second", v.name, rate, (after.Energy-before.Energy)/(after.Time-before.Time)*1000)
		if rate < 25 || after.Energy <= before.Energy {
			return fmt.Errorf("%+v, then %+v", before, after)
		}
		return nil
	})
	var delays []float64
	eventually(v.t, v.name+" reads the time", func() error {
		if err := json.Unmarshal([]byte(v.get("JSON.stringify(delays)")), &delays); err != nil || len(delays) < 50 {
			return fmt.Errorf("%v: %v", delays, err)
		}
		return nil
	})
	slices.Sort(delays)
	median := delays[len(delays)/2]
	v.t.Logf("%s: glass to glass %.0f ms (median of %d; %.0f to %.0f)", v.name, median, len(delays), delays[0], delays[len(delays)-1])
	if math.Abs(median) > 5000 { // another clock, or another code
		v.t.Errorf("the picture is %.0f ms old", median)
	}
}

// wantEcho checks that a data channel of the page's own brings back what it is sent.
func (v *visitor) wantEcho() {
	v.t.Helper()
	got := v.get(`new Promise((done) => {
		const channel = testPCs.find((pc) => pc.connectionState === "connected").createDataChannel("test");
		channel.onopen = () => channel.send("안녕");
		channel.onmessage = ({ data }) => done(data);
	})`)
	if got != "안녕" {
		v.t.Errorf("%s: the echo is %q", v.name, got)
	}
}

// A person alone: the peer is the other side of the call, in Chromium and in Firefox.
func TestPeerInACall(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	for _, v := range []*visitor{a.withChromium(), a.withFirefox()} {
		t.Run(v.name, func(t *testing.T) {
			v.t = t
			v.open(s.ready.Room)
			v.get("allow()")
			p := a.peer(s.ready.Room)
			v.wantTestPicture()
			v.wantEcho()
			got := p.until("media both ways", func(s peer.Stats) bool { return s.Flowed && s.MessagesEchoed > 0 })
			if len(got.Pairs) != 1 || got.FramesReceived == 0 || got.Mode != "pattern" {
				t.Errorf("the peer says %+v", got)
			}
			v.wantNoErrors()
			if code := p.interrupt(); code != 0 {
				t.Errorf("the peer ended with %d: %s", code, &p.err)
			}
			all := p.stats()
			if last := all[len(all)-1]; last.Event != "ended" || !last.Flowed {
				t.Errorf("the last line: %+v", last)
			}
			v.open("about:blank")
		})
	}
}

// With a peer of the server's own, one browser is enough for a call.
func TestServeWithPeer(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--with-peer", "--room-token="+theSecret)
	p := a.open(s.ready.Room)
	p.wantVideo()
	if *screenshots != "" {
		p.screenshot(filepath.Join(*screenshots, "with-peer.png"), 1280, 800)
	}
	p.wantQuietConsole()
	eval[bool](p, `new Promise((done) => setTimeout(() => done(true), 1500))`) // a refusal is told after a second
	if took := s.interrupt(); took > stopLimit {
		t.Errorf("the server took %v to stop during a call", took)
	}
	if strings.Contains(s.log.String(), "refused") {
		t.Errorf("the peer refuses the server's own certificate:\n%s", &s.log)
	}
}

// A person who waits for the server's own peer is told why it does not come.
func TestPeerIsKeptOutLine(t *testing.T) {
	s, what := newPrinter(t)
	s.event(devserver.TestPeer{Event: "test-peer", Error: "the room is full"})
	if got := what(); got != "The test peer is not in the room: the room is full; it goes on trying.\n" {
		t.Errorf("it says %q", got)
	}
}

// Why a peer ends is said, with the next step, and by the exit code.
func TestPeerEnds(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--room-token="+theSecret)
	stranger := newAccount(t)
	at := fmt.Sprintf("https://localhost:%d/", s.ready.Port)
	withToken := at + "?room-token=" + theSecret + "&room="
	full := a.peer(withToken+"full", "--count", "2", "--mode", "sink")
	full.until("both in the room", func(s peer.Stats) bool { return s.Met > 0 })
	for _, c := range []struct {
		who        *account
		args       []string
		code       int
		said, next string
	}{
		{a, []string{withToken + "alone", "--duration", "2s"}, 1, `nobody else came into the room "alone"`, "rtcdev serve --open"},
		{a, []string{withToken + "full"}, 1, "room-full", "--room-size"},
		{a, []string{at}, 1, "only who has its secret", "room-token"},
		{a, []string{at + "?room-token=another-secret"}, 1, "only who has its secret", "room-token"},
		{a, []string{strings.Replace(at, "https", "http", 1)}, 1, "not what rtcdev serve answers", "address that rtcdev serve shows"},
		{a, []string{"https://nowhere.invalid/"}, 1, "nowhere.invalid", "address that rtcdev serve shows"},
		{a, []string{"https://127.0.0.1:1/"}, 1, "refused", "rtcdev serve"},
		{a, []string{"ftp://localhost/"}, 2, "does not begin with https://", "address that rtcdev serve shows"},
		{a, []string{at + "?room=%01"}, 2, "room", "address that rtcdev serve shows"},
		{stranger, []string{withToken + "a"}, 4, "unknown authority", "http://"},
		{a, []string{"localhost:8443/?room=a"}, 2, "no room's name", "https://localhost:8443/?room=a"},
		{a, []string{"--mode", "loud"}, 2, `no mode "loud"`, "pattern|echo|sink"},
		{a, []string{"--count", "0"}, 2, "--count", "--help"},
		{a, []string{"--port", "0"}, 2, "from 1 to 65535", "--port 8443"},
		{a, []string{"--duration", "-1s"}, 2, "--duration", "10s"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			cmd := c.who.command("rtcdev", append([]string{"peer"}, c.args...)...)
			var said bytes.Buffer
			cmd.Stderr = &said
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != c.code {
				t.Errorf("it ended with %v, want exit code %d", err, c.code)
			}
			what, next, _ := strings.Cut(said.String(), "\n  next: ")
			if !strings.Contains(what, c.said) || !strings.Contains(next, c.next) || strings.Count(said.String(), "rtcdev: ") != 1 {
				t.Errorf("it said %q", said.String())
			}
			t.Logf("%s", &said)
		})
	}
	if code := full.interrupt(); code != 1 { // two that send nothing
		t.Errorf("two sinks ended with %d: %s", code, &full.err)
	}
}
