package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

const (
	signalingRounds  = 7
	signalingMeaning = "what a signaling server costs: rtcdev serve against socket.io 4, PeerServer and a bare relay, " +
		"all over TLS 1.3 with one ECDSA P-256 certificate, X25519 and AES-128-GCM, server and generator each on one core"
	kib = 1 << 10
)

// A load is one kind of measurement. What it needs of the machine is such that the
// cheapest contestant works for a third of a second.
type load struct {
	name  string
	args  []string // of loadgen
	count int      // messages or joins that count
	warm  int      // those before: Node compiles what it has run often
	read  []reading
}

// A reading is a figure of a load's outcome, and rtcdev's goals for it: at most so
// many times socket.io's, PeerServer's and the bare relay's.
type reading struct {
	name  string
	unit  string
	value func(outcome) float64
	goals [3]float64
}

func loads() []load {
	cpu := func(o outcome) float64 { return o.CPU / float64(o.Count) * 100_000 }
	const unit = "s per 100,000"
	return []load{
		{"1.2 KB, window 1", []string{"-size", "1200"}, 20_000, 8_000, []reading{
			{"1.2 KB, window 1", unit, cpu, [3]float64{0.26, 0.38, 1.20}}}},
		{"3 KB, window 1", []string{"-size", "3000"}, 18_000, 8_000, []reading{
			{"3 KB, window 1", unit, cpu, [3]float64{0.25, 0.33, 1.30}}}},
		{"200 B, window 16", []string{"-size", "200", "-window", "16"}, 45_000, 15_000, []reading{
			{"200 B burst, window 16", unit, cpu, [3]float64{0.38, 0.55, 0.90}}}},
		{"joins", []string{"-load", "joins"}, 1_000, 200, []reading{
			{"joins", unit, cpu, [3]float64{0.35, 0.52, 1.25}},
			{"joins per second", "", func(o outcome) float64 { return float64(o.Count) / o.Wall }, [3]float64{}}}},
		{"2,000 messages/s", []string{"-load", "latency", "-size", "1200", "-rate", "2000"}, 4_000, 1_500, []reading{
			{"p50 at 2,000 msg/s", "µs", func(o outcome) float64 { return o.P50 }, [3]float64{0.55, 0.60, 1.15}},
			{"p99 at 2,000 msg/s", "µs", func(o outcome) float64 { return o.P99 }, [3]float64{0.30, 0.30, 1.40}}}},
	}
}

// signaling measures the server's processor time, its latency and its memory.
func signaling(ctx context.Context, s settings) (*report, error) {
	rounds, share, idlePairs, settle := s.rounds, 1, 5000, settled
	if s.quick {
		share, idlePairs, settle = 20, 200, 500*time.Millisecond
		rounds = max(rounds, 1)
	}
	if rounds < 1 {
		rounds = signalingRounds
	}
	dir, err := os.MkdirTemp("", "rtcdev-signaling-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l, err := newLineup(ctx, s, dir)
	if err != nil {
		return nil, err
	}
	measured := make([][][]outcome, len(loads())) // of each load, contestant and round
	for i := range measured {
		measured[i] = make([][]outcome, len(l.secure))
	}
	for round := range rounds {
		for i, load := range loads() {
			line := fmt.Sprintf("round %d of %d: %s:", round+1, rounds, load.name)
			args := append(load.args, "-count", strconv.Itoa(load.count/share), "-warm-up", strconv.Itoa(load.warm/share))
			best, err := l.round(ctx, args)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", load.name, err)
			}
			for k, c := range l.secure {
				measured[i][k] = append(measured[i][k], best[k])
				line += fmt.Sprintf("  %s %s", c.name, figure(load.read[0].value(best[k])))
			}
			fmt.Fprintln(s.progress, line)
		}
	}
	held, err := l.memory(ctx, s, idlePairs, settle)
	if err != nil {
		return nil, err
	}
	r := newReport("signaling", signalingMeaning, rounds)
	r.signaling(l, measured)
	r.memory(l, held)
	return r, nil
}

// tries is how often a round measures each contestant, in turns. The least of each figure
// counts: what else goes on, on this machine or beside it on the same hardware, adds to
// it. That is most of the slowest hundredth, too, for all contestants alike.
const tries = 3

// round measures all contestants under one load.
func (l *lineup) round(ctx context.Context, args []string) ([]outcome, error) {
	best := make([]outcome, len(l.secure))
	for try := range tries {
		for k, c := range l.secure {
			o, err := l.measure(ctx, c, args)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if try > 0 {
				o = o.least(best[k])
			}
			best[k] = o
		}
	}
	return best, nil
}

// measure runs one load against one fresh server.
func (l *lineup) measure(ctx context.Context, c contestant, args []string) (outcome, error) {
	port, err := freePort()
	if err != nil {
		return outcome{}, err
	}
	server, err := startServer(ctx, c, port)
	if err != nil {
		return outcome{}, err
	}
	defer server.stop()
	args = append([]string{"-protocol", c.protocol}, args...)
	if c.root != "" {
		args = append(args, "-root", c.root)
	}
	return server.generate(ctx, l.loadgen, args...)
}

// signaling reports the rounds.
func (r *report) signaling(l *lineup, measured [][][]outcome) {
	ratios := table{head: []string{"rtcdev's server CPU, as a part of"}}
	absolute := table{head: []string{"measured"}}
	for _, c := range l.secure {
		absolute.head = append(absolute.head, c.name)
		if c.name != l.secure[0].name {
			ratios.head = append(ratios.head, c.name+" + TLS")
		}
	}
	for i, load := range loads() {
		for _, reading := range load.read {
			values := make([][]float64, len(l.secure))
			cells, compared := []string{reading.name + withUnit(reading.unit)}, []string{reading.name}
			for k, c := range l.secure {
				for _, o := range measured[i][k] {
					values[k] = append(values[k], reading.value(o))
				}
				r.add(reading.name+": "+c.name, reading.unit, values[k])
				cells = append(cells, cell(r.Results[len(r.Results)-1].Median, nil))
				if k > 0 && reading.goals[k-1] > 0 {
					r.compare(reading.name+" / "+c.name, values[0], values[k], reading.goals[k-1])
					last := r.Ratios[len(r.Ratios)-1]
					compared = append(compared, cell(last.Median, &last.verdict))
				}
			}
			absolute.rows = append(absolute.rows, cells)
			if len(compared) > 1 {
				ratios.rows = append(ratios.rows, compared)
			}
		}
	}
	r.Tables = append(r.Tables, ratios, absolute)
}

func withUnit(unit string) string {
	if unit == "" {
		return ""
	}
	return ", " + unit
}
