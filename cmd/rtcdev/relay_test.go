//go:build unix

package main

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"slices"
	"testing"
)

// viaRelay makes the page's connections use one kind of TURN address only, at that host.
func viaRelay(kind, host string) string {
	return fmt.Sprintf(`void (window.beforePC = (config) => ({
	...config,
	iceServers: config.iceServers
		.map((s) => ({ ...s, urls: [s.urls].flat()
			.filter((u) => %q === "tls" ? u.startsWith("turns:") : u.startsWith("turn:") && u.endsWith("transport=" + %[1]q))
			.map((u) => u.replace(":localhost:", ":" + %q + ":")) }))
		.filter((s) => s.urls.length > 0),
}))`, kind, host)
}

// notLoopback is an IPv4 address of this machine that other machines may have seen.
func notLoopback(t *testing.T) string {
	t.Helper()
	known, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range known {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil && ip.IsGlobalUnicast() {
			return ip.String()
		}
	}
	t.Skip("this machine has no network")
	return ""
}

// selectedPair says which candidates the live connection uses, and what it may use.
const selectedPair = `(async () => {
	const pc = testPCs.find((pc) => pc.connectionState === "connected");
	const stats = await pc.getStats();
	const all = [...stats.values()];
	// Firefox says "selected" of the pair, not which one it is of the transport.
	const pair = stats.get(all.find((s) => s.type === "transport")?.selectedCandidatePairId)
		?? all.find((s) => s.type === "candidate-pair" && s.selected);
	const [a, b] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
	return [a.candidateType, a.relayProtocol ?? "-", b.candidateType, pc.getConfiguration().iceTransportPolicy].join(" ");
})()`

// The call app through the relay alone, over each of its transports: between two Chromium
// tabs, two of Firefox, and from either to the other, whoever comes first. The browsers
// have no settings that a person's have not, apart from the fake camera.
//
// Firefox asks no STUN or TURN server on a loopback address over UDP (that is what its
// media.peerconnection.ice.loopback is for), so over UDP it has to be served on another
// one. On localhost its calls go over TCP or TLS, without anybody doing anything.
func TestCallThroughTheRelay(t *testing.T) {
	lan := notLoopback(t)
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--host")
	chromium, firefox := a.withChromium(), a.withFirefox()
	for _, pair := range [][]*visitor{
		{chromium, chromium.tab()}, {firefox, firefox.tab()}, {chromium, firefox}, {firefox, chromium},
	} {
		for _, kind := range []string{"udp", "tcp", "tls", "any"} {
			t.Run(pair[0].name+" "+pair[1].name+" "+kind, func(t *testing.T) {
				host := "localhost"
				if kind == "udp" && (pair[0] == firefox || pair[1] == firefox) {
					host = lan
				}
				for _, v := range pair {
					v.t = t
					v.open(s.ready.Room + "&rtcdev-relay")
					if kind != "any" {
						v.get(viaRelay(kind, host))
					}
					v.get("allow()")
				}
				for _, v := range pair {
					v.wantMoving()
					got := v.get(selectedPair)
					if kind == "any" {
						t.Logf("%s: %s", v.name, got)
						got = regexp.MustCompile(" (udp|tcp|tls) ").ReplaceAllString(got, " any ")
					}
					if got != "relay "+kind+" relay relay" {
						t.Errorf("%s: the call goes by %s", v.name, got)
					}
				}
				leave(pair)
			})
		}
	}
}

// Directly, Firefox first. (TestOnePort has it the other way round.)
func TestDirectCallBetweenBrowsers(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	pair := []*visitor{a.withFirefox(), a.withChromium()}
	for _, v := range pair {
		v.open(s.ready.Room)
		v.get("allow()")
	}
	for _, v := range pair {
		v.wantMoving()
		t.Logf("%s: the call goes by %s", v.name, v.get(selectedPair))
	}
	leave(pair)
}

// How long 20 calls took that may use nothing but the relay, in Chromium, with the
// addresses that the server gives: from the click that joins the room, and from the offer.
// The goal is a median of 500 ms.
func TestRelayConnectTime(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.labFolder(), "--port", "0")
	p := a.open(s.ready.URL + "?rtcdev-relay")
	wantRelayOnly(p, `call("warm-up").then(({ a, b }) => { a.leave(); b.leave(); return a.pc; })`)
	for _, kind := range []string{"", "udp", "tcp"} {
		var click, offer []float64
		for i := range 20 {
			got := eval[[2]float64](p, fmt.Sprintf(`call("connect-%d", %q).then(({ a, b, sinceClick, sinceOffer }) => {
				a.leave();
				b.leave();
				return [sinceClick, sinceOffer];
			})`, i, kind))
			click, offer = append(click, got[0]), append(offer, got[1])
		}
		slices.Sort(click)
		slices.Sort(offer)
		t.Logf("by %s: from the click %.0f ms (%.0f to %.0f), from the offer %.0f ms (%.0f to %.0f)", cmp.Or(kind, "all"),
			click[10], click[0], click[19], offer[10], offer[0], offer[19])
	}
	p.wantQuietConsole()
}

// leave checks that there was no trouble, and closes the pages.
func leave(visitors []*visitor) {
	for _, v := range visitors {
		v.wantQuietConsole()
	}
	for _, v := range visitors {
		v.open("about:blank")
	}
}
