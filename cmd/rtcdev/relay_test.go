//go:build unix

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pion/turn/v5"
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
	if os.Getenv("CI") == "true" {
		t.Fatal("this machine has no network")
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
	dir := a.emptyFolder("empty")
	here, everywhere := a.serve(dir, "--port", "0"), a.serve(dir, "--port", "0", "--host")
	chromium, firefox := a.withChromium(), a.withFirefox()
	for _, pair := range [][]*visitor{
		{chromium, chromium.tab()}, {firefox, firefox.tab()}, {chromium, firefox}, {firefox, chromium},
	} {
		for _, kind := range []string{"udp", "tcp", "tls", "any"} {
			t.Run(pair[0].name+" "+pair[1].name+" "+kind, func(t *testing.T) {
				s, host := here, "localhost"
				if kind == "udp" && slices.Contains(pair, firefox) {
					s, host = everywhere, lan
				} else if kind == "udp" { // answered from the address that was asked
					s = everywhere
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

// iceServers is what /_rtcdev/ice answers.
func (s *server) iceServers(client *http.Client) (servers []struct {
	URLs                 []string
	Username, Credential string
}) {
	s.t.Helper()
	answer, err := client.Get(s.ready.URL + "_rtcdev/ice")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	config := struct{ ICEServers any }{&servers}
	if err := json.NewDecoder(answer.Body).Decode(&config); err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("/_rtcdev/ice: %s, %v", answer.Status, err)
	}
	return servers
}

// With credentials that any page gets, the relay leads to none of this machine's
// addresses, and to no other: packets are refused, and nothing arrives. What is refused
// is counted.
func TestRelayReachesNothing(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "-v")
	http := trustingClient(t, a.root())
	servers := s.iceServers(http)
	if len(servers) != 2 || len(servers[1].URLs) != 3 {
		t.Fatalf("the servers are %+v", servers)
	}
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listens := listener.LocalAddr().(*net.UDPAddr).Port
	before := s.refused(http)

	at := fmt.Sprintf("127.0.0.1:%d", s.ready.Port)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: at, TURNServerAddr: at, Conn: conn, Username: servers[1].Username, Password: servers[1].Credential,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayed.Close()
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "8.8.8.8", notLoopback(t)} {
		to := &net.UDPAddr{IP: net.ParseIP(host), Port: listens}
		if err := client.CreatePermission(to); err == nil {
			t.Errorf("there is a permission for %s", host)
		}
		if _, err := relayed.WriteTo([]byte("through the relay"), to); err == nil {
			t.Errorf("a packet to %s is accepted", host)
		}
	}
	if _, err := client.AllocateTCP(); err == nil {
		t.Error("there is an allocation for TCP (RFC 6062)")
	}
	// Whatever came through would be here before this one.
	if _, err := conn.WriteTo([]byte("directly"), listener.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, _, err := listener.ReadFrom(got); err != nil || string(got[:n]) != "directly" {
		t.Errorf("the listener on 127.0.0.1 got %q, %v", got[:n], err)
	}
	if after := s.refused(http); after < before+9 {
		t.Errorf("%d refusals are counted, %d before", after, before)
	}
	if !strings.Contains(s.log.String(), "169.254.169.254") {
		t.Errorf("the log does not tell of 169.254.169.254:\n%s", &s.log)
	}
}

// refused is how many requests and packets the relay has refused.
func (s *server) refused(client *http.Client) (n int) {
	s.t.Helper()
	answer, err := client.Get(s.ready.URL + "_rtcdev/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nrtcdev_relay_refused_total ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		s.t.Fatalf("%v in\n%s", err, text)
	}
	return n
}

// Where the relay is left out there are no servers, no script and nothing to make bad.
func TestServeWithoutTURN(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.pages(map[string]string{"index.html": fmt.Sprintf(plainPage, "")}), "--port", "0", "--no-turn")
	client := trustingClient(t, a.root())
	if servers := s.iceServers(client); servers == nil || len(servers) != 0 {
		t.Errorf("the servers are %+v", servers)
	}
	if code, body := ask(t, client, "GET", s.ready.URL, "", ""); code != 200 || body != fmt.Sprintf(plainPage, "") {
		t.Errorf("the page is %d %s", code, body)
	}
	if code, body := ask(t, client, "POST", s.ready.URL+"_rtcdev/impair", "3g", ""); code != 400 || !strings.Contains(body, "--no-turn leaves out") {
		t.Errorf("impair answers %d %s", code, body)
	}
	if conn, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", s.ready.Port)); err != nil {
		t.Errorf("the UDP port is not free: %v", err)
	} else {
		conn.Close()
	}
}

// The relay can be open for private addresses only where others can reach it.
func TestTURNLANOnLoopback(t *testing.T) {
	a := newAccount(t)
	cmd := a.command("rtcdev", "serve", "--port", "0", "--trust=no", "--turn=lan")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), "serve on it, with --host, or leave out --turn=lan") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Only this machine may make the network bad, and no page of another site.
func TestWhoMayImpair(t *testing.T) {
	lan := notLoopback(t)
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--host")
	here := trustingClient(t, a.root())
	url := s.ready.URL + "_rtcdev/impair"
	outside := trustingClient(t, a.root())
	outside.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(lan, port(s.ready.Port)))
	}
	for _, c := range []struct {
		name                      string
		client                    *http.Client
		method, url, spec, origin string
		code                      int
		says                      string
	}{
		{"from another address", outside, "POST", url, "3g", "", 403, "Only the machine that rtcdev runs on"},
		{"seen from another address", outside, "GET", url, "", "", 403, "Only the machine that rtcdev runs on"},
		{"another site", here, "POST", url, "3g", "https://example.com", 403, "Only the machine"},
		{"another port", here, "POST", url, "3g", "https://localhost:1", 403, "Only the machine"},
		{"a sandbox", here, "POST", url, "3g", "null", 403, "Only the machine"},
		{"its own page", here, "POST", url, "off", strings.TrimSuffix(s.ready.URL, "/"), 200, `"all":"off"`},
		{"curl", here, "POST", url, "wifi-busy\n", "", 200, `"all":"loss=3%`},
		{"looking", here, "GET", url, "", "", 200, `"all":"loss=3%`},
		{"another method", here, "PUT", url, "off", "", 404, ""},
		{"nonsense", here, "POST", url, "bad", "", 400, `"bad" is not understood: write off, 3g`},
		{"too long", here, "POST", url, strings.Repeat("x", 5000), "", 400, "too long"},
		{"nobody", here, "POST", url + "?peer=nobody", "3g", "", 400, `Nobody here is called "nobody"`},
		{"both", here, "POST", url + "?peer=nobody&room=lobby", "3g", "", 400, "not both"},
		{"as it was", here, "GET", url, "", "", 200, `"all":"loss=3%`},
	} {
		code, body := ask(t, c.client, c.method, c.url, c.spec, c.origin)
		if code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.name, code, body)
		}
	}
}

// ask returns the answer to a request.
func ask(t *testing.T, client *http.Client, method, url, body, origin string) (code int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}
