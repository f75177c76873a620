package main

import (
	"fmt"
	"testing"
)

// relayOnly makes the pages' connections use the relay, by one kind of TURN address.
func relayOnly(kind string) string {
	return fmt.Sprintf(`
window.RTCPeerConnection = class extends RTCPeerConnection {
	constructor(config) {
		const kind = %q;
		const iceServers = config.iceServers
			.map((s) => ({ ...s, urls: [s.urls].flat().filter((u) => kind === "tls" ? u.startsWith("turns:") : u.startsWith("turn:") && u.endsWith("transport=" + kind)) }))
			.filter((s) => s.urls.length > 0);
		super({ ...config, iceServers, iceTransportPolicy: "relay" });
	}
};`, kind)
}

// selectedPair says which candidates the live connection uses.
const selectedPair = `(async () => {
	const pc = testPCs.find((pc) => pc.connectionState === "connected");
	const stats = await pc.getStats();
	for (const s of stats.values())
		if (s.type === "transport" && s.selectedCandidatePairId) {
			const pair = stats.get(s.selectedCandidatePairId);
			const [a, b] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
			return a.candidateType + " " + a.relayProtocol + " " + b.candidateType;
		}
	return "none";
})()`

// A call that may use nothing but the relay, over each of its transports.
func TestCallThroughTheRelay(t *testing.T) {
	for _, kind := range []string{"udp", "tcp", "tls"} {
		t.Run(kind, func(t *testing.T) {
			a := newAccount(t)
			a.trust()
			s := a.serve(a.emptyFolder("empty"), "--port", "0")
			first, second := a.openWith(relayOnly(kind), s.ready.Room), a.openWith(relayOnly(kind), s.ready.Room)
			first.wantVideo()
			second.wantVideo()
			for _, p := range []*tab{first, second} {
				if got := eval[string](p, selectedPair); got != "relay "+kind+" relay" {
					t.Errorf("the call goes by %s", got)
				}
			}
			first.wantQuietConsole()
			second.wantQuietConsole()
		})
	}
}
