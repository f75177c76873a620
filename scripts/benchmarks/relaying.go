package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	relayRounds  = 9
	relayMeaning = "what a relayed packet costs: rtcdev serve against coturn, 8 pairs of allocations over UDP, " +
		"each client by a channel to its pair's other relayed address, 1,200 B, on loopback; nothing is pinned to a core"
	// relayPaced is a rate, in packets per second, that every contestant delivers in
	// full: 12 Mbit/s from each of the 16 clients.
	relayPaced = "20000"
	gigabyte   = 1e9
	relaySize  = 1200

	goalRelayCPU  = 0.6 // of coturn's processor time per gigabyte
	goalRelayMost = 1.5 // times the packets that coturn delivers
)

// A turnServer is a contestant and how it is asked for credentials.
type turnServer struct {
	contestant
	credentials func(ctx context.Context, port string) (username, password string, err error)
}

// A relayed is what relayload prints.
type relayed struct {
	Delivered int64   `json:"delivered"`
	Lost      int64   `json:"lost"`
	Wall      float64 `json:"wall_seconds"`
	CPU       float64 `json:"server_seconds"`
	Own       float64 `json:"generator_seconds"`
}

// relayRound is what one contestant did in one round.
type relayRound struct{ paced, most relayed }

// relaying measures the processor time of a gigabyte, and how much gets through.
func relaying(ctx context.Context, s settings) (*report, error) {
	rounds, duration := cmp.Or(s.rounds, relayRounds), 3*time.Second
	if s.quick {
		rounds, duration = max(s.rounds, 1), 500*time.Millisecond
	}
	if s.duration > 0 {
		duration = s.duration
	}
	dir, err := os.MkdirTemp("", "rtcdev-relay-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	servers, err := turnServers(ctx, s, dir)
	if err != nil {
		return nil, err
	}
	measured := make([][]relayRound, len(servers))
	for round := range rounds {
		line := fmt.Sprintf("round %d of %d:", round+1, rounds)
		for k := range servers { // another one begins each time
			k = (k + round) % len(servers)
			m, err := servers[k].measure(ctx, filepath.Join(s.programs, "relayload"), duration)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", servers[k].name, err)
			}
			measured[k] = append(measured[k], m)
			line += fmt.Sprintf("  %s %s s/GB, %s/s", servers[k].name, figure(m.paced.perGigabyte()), figure(m.most.perSecond()))
		}
		fmt.Fprintln(s.progress, line)
	}
	r := newReport("relay", relayMeaning, rounds)
	r.relaying(servers, measured)
	return r, nil
}

// turnServers are rtcdev and then coturn, which is measured with several numbers of
// threads, so that its best one counts.
func turnServers(ctx context.Context, s settings, dir string) ([]turnServer, error) {
	c, err := newContest(ctx, s.programs, dir)
	if err != nil {
		return nil, err
	}
	root := rootFile(c.made)
	serve := contestant{name: "rtcdev", root: root, env: append(c.env, "RTCDEV_HOME="+c.made), args: func(port string) []string {
		return []string{c.rtcdev, "serve", c.site, "-q", "--strict-port", "--trust=no", "--port", port}
	}}
	servers := []turnServer{{serve, func(ctx context.Context, port string) (string, string, error) {
		return servedCredentials(ctx, port, root)
	}}}
	if _, err := exec.LookPath("turnserver"); err != nil {
		return nil, fmt.Errorf("the server to measure against is coturn (apt-get install coturn): %w", err)
	}
	for _, threads := range []struct{ name, flag string }{
		{"coturn", ""}, {"coturn -m 0", "--relay-threads=0"}, {"coturn -m 4", "--relay-threads=4"},
	} {
		servers = append(servers, coturn(threads.name, threads.flag, c.env, dir))
	}
	return servers, nil
}

// coturn has one user with long-term credentials, as rtcdev's sessions have, and may
// relay to its own relayed addresses, which are on loopback here. It writes no log.
func coturn(name, threads string, env []string, dir string) turnServer {
	const user, password = "benchmark", "north-of-the-wall"
	return turnServer{
		contestant{name: name, env: env, args: func(port string) []string {
			args := []string{"turnserver", "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--listening-port=" + port,
				"--lt-cred-mech", "--realm=benchmark", "--user=" + user + ":" + password, "--allow-loopback-peers",
				"--no-tls", "--no-dtls", "--no-cli", "--no-stdout-log", "--log-file=/dev/null",
				"--pidfile=" + filepath.Join(dir, "coturn.pid"), "--userdb=" + filepath.Join(dir, "coturn.db")}
			if threads != "" {
				args = append(args, threads)
			}
			return args
		}},
		func(context.Context, string) (string, string, error) { return user, password, nil },
	}
}

// servedCredentials are what a page gets from /_rtcdev/ice.
func servedCredentials(ctx context.Context, port, root string) (username, password string, err error) {
	roots, err := readRoots(root)
	if err != nil {
		return "", "", err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost:"+port+"/_rtcdev/ice", nil)
	if err != nil {
		return "", "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	var answer struct {
		ICEServers []struct{ Username, Credential string } `json:"iceServers"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", "", fmt.Errorf("reading %s: %w", req.URL, err)
	}
	for _, s := range answer.ICEServers {
		if s.Username != "" {
			return s.Username, s.Credential, nil
		}
	}
	return "", "", fmt.Errorf("%s names no TURN server: %s", req.URL, body)
}

// measure runs both loads.
func (t turnServer) measure(ctx context.Context, relayload string, duration time.Duration) (m relayRound, err error) {
	if m.paced, err = t.load(ctx, relayload, "paced", duration); err != nil {
		return m, err
	}
	m.most, err = t.load(ctx, relayload, "most", duration)
	return m, err
}

// load runs one load against a fresh server, which knows nothing of other loads' clients.
func (t turnServer) load(ctx context.Context, relayload, load string, duration time.Duration) (o relayed, err error) {
	port, err := freePort()
	if err != nil {
		return o, err
	}
	server, err := startUnpinned(ctx, t.contestant, port)
	if err != nil {
		return o, err
	}
	defer server.stop()
	username, password, err := t.credentials(ctx, port)
	if err != nil {
		return o, fmt.Errorf("getting credentials: %w\n%s", err, &server.log)
	}
	cmd := exec.CommandContext(ctx, relayload, "-load", load, "-rate", relayPaced, "-duration", duration.String(),
		"-address", server.address, "-pid", fmt.Sprint(server.pid()), "-username", username, "-password", password)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return o, fmt.Errorf("load %q: %w\n%s%s", load, err, &log, &server.log)
	}
	return o, json.Unmarshal(out.Bytes(), &o)
}

func (o relayed) perGigabyte() float64 { return o.CPU / (float64(o.Delivered) * relaySize / gigabyte) }
func (o relayed) perSecond() float64   { return float64(o.Delivered) / o.Wall }
func (o relayed) lostPercent() float64 {
	return 100 * float64(o.Lost) / float64(o.Delivered+o.Lost)
}

// A relayReading is a figure of a round.
type relayReading struct {
	name, unit string
	value      func(relayRound) float64
}

func relayReadings() []relayReading {
	return []relayReading{
		{"server CPU at 20,000 packets/s", "s per GB", func(m relayRound) float64 { return m.paced.perGigabyte() }},
		{"most packets delivered", "per s", func(m relayRound) float64 { return m.most.perSecond() }},
		{"server CPU at the most", "s per GB", func(m relayRound) float64 { return m.most.perGigabyte() }},
		{"processors the server used at the most", "", func(m relayRound) float64 { return m.most.CPU / m.most.Wall }},
		{"processors the generator used at the most", "", func(m relayRound) float64 { return m.most.Own / m.most.Wall }},
		{"lost at 20,000 packets/s", "%", func(m relayRound) float64 { return m.paced.lostPercent() }},
		{"lost at the most", "%", func(m relayRound) float64 { return m.most.lostPercent() }},
	}
}

// relaying reports the rounds: rtcdev's figures as ratios to the best that coturn had in
// the same round.
func (r *report) relaying(servers []turnServer, measured [][]relayRound) {
	absolute := table{head: []string{"measured"}}
	for _, t := range servers {
		absolute.head = append(absolute.head, t.name)
	}
	values := make([][][]float64, len(relayReadings())) // of each reading, contestant and round
	for i, reading := range relayReadings() {
		cells := []string{reading.name + withUnit(reading.unit)}
		for k, t := range servers {
			var each []float64
			for _, m := range measured[k] {
				each = append(each, reading.value(m))
			}
			values[i] = append(values[i], each)
			r.add(reading.name+": "+t.name, reading.unit, each)
			cells = append(cells, cell(r.Results[len(r.Results)-1].Median, nil))
		}
		absolute.rows = append(absolute.rows, cells)
	}
	r.compare("server CPU per GB / coturn", values[0][0], best(values[0][1:], slices.Min), goalRelayCPU)
	r.exceed("most packets delivered / coturn", values[1][0], best(values[1][1:], slices.Max), goalRelayMost)
	compared := table{head: []string{"rtcdev / the best coturn", "ratio"}}
	for _, ratio := range r.Ratios {
		name, _, _ := strings.Cut(ratio.Name, " / ")
		compared.rows = append(compared.rows, []string{name, cell(ratio.Median, &ratio.verdict)})
	}
	r.Tables = append(r.Tables, compared, absolute)
}

// best is the best value of each round.
func best(of [][]float64, choose func([]float64) float64) []float64 {
	rounds := make([]float64, len(of[0]))
	for i := range rounds {
		var all []float64
		for _, values := range of {
			all = append(all, values[i])
		}
		rounds[i] = choose(all)
	}
	return rounds
}
