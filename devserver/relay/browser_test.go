package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// call connects two RTCPeerConnections of one page that may use the relay only, sends a
// message each way over a data channel, and says which pair was selected.
const call = `(async (iceServers) => {
	const config = {iceServers, iceTransportPolicy: "relay"};
	const a = new RTCPeerConnection(config), b = new RTCPeerConnection(config);
	const begin = performance.now();
	a.onicecandidate = e => b.addIceCandidate(e.candidate);
	b.onicecandidate = e => a.addIceCandidate(e.candidate);
	const echoed = new Promise((resolve, reject) => {
		setTimeout(() => reject(new Error("no echo: " + a.iceConnectionState)), 15000);
		b.ondatachannel = e => e.channel.onmessage = m => e.channel.send(m.data);
		const channel = a.createDataChannel("test");
		channel.onopen = () => channel.send("hello");
		channel.onmessage = m => resolve(m.data);
	});
	await a.setLocalDescription();
	await b.setRemoteDescription(a.localDescription);
	await b.setLocalDescription();
	await a.setRemoteDescription(b.localDescription);
	const echo = await echoed, took = performance.now() - begin;
	const stats = [...(await a.getStats()).values()];
	const transport = stats.find(s => s.type === "transport");
	const pair = stats.find(s => s.id === transport.selectedCandidatePairId);
	const of = id => stats.find(s => s.id === id);
	const local = of(pair.localCandidateId), remote = of(pair.remoteCandidateId);
	a.close(); b.close();
	return JSON.stringify({echo, took, local: local.candidateType, remote: remote.candidateType,
		protocol: local.relayProtocol, address: local.address});
})(%s)`

func TestChromium(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing: apt-get install chromium")
		}
		t.Skip("chromium is missing: apt-get install chromium")
	}
	t.Setenv("HOME", t.TempDir())
	w := start(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to sandbox root
	}
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	for _, transport := range []string{"udp", "tcp"} {
		user := w.Credentials(transport)
		at := w.udp
		if transport == "tcp" {
			at = w.tcp
		}
		servers, err := json.Marshal([]map[string]string{{
			"urls": "turn:" + at.String() + "?transport=" + transport, "username": user.Username, "credential": user.Password,
		}})
		if err != nil {
			t.Fatal(err)
		}
		said, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(call, servers), chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%s: %v; refused: %v", transport, err, w.refusals)
		}
		t.Log(said)
		var got struct{ Echo, Local, Remote, Protocol string }
		if err := json.Unmarshal([]byte(said), &got); err != nil || got.Echo != "hello" || got.Local != "relay" || got.Protocol != transport {
			t.Errorf("%s: %s", transport, said)
		}
	}
}
