package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"rtcdev/scripts/benchmarks/client"
	"rtcdev/scripts/benchmarks/procstat"
	"rtcdev/scripts/benchmarks/soak"
)

const (
	soakMeaning = "peers that talk in pairs while lines break and resume and the server restarts, under the server's own limits"
	soakTime    = 10 * time.Minute
	soakRooms   = 1000
	// goalGrowth is how much more memory, in parts of all, a server may have at the
	// end of its time than at the start, by the line through all that was measured.
	goalGrowth = 0.05
	// goalGoroutines is how many more there may be when all peers have gone than
	// before they came: the hub has up to eight wait for something to write, whoever
	// is there. The soak leaves far more behind if a peer's own do not end.
	goalGoroutines = 8
)

// soaking runs the soak and reports what it found. A message that was lost,
// repeated or out of order is an error.
func soaking(ctx context.Context, s settings) (*report, error) {
	cfg := soak.Config{Rooms: soakRooms, Duration: soakTime, Pause: time.Second, Line: time.Minute, Away: 22 * time.Second,
		Progress: s.progress}
	if s.quick {
		cfg.Rooms, cfg.Duration, cfg.Pause, cfg.Line, cfg.Away = 20, 4*time.Second, 150*time.Millisecond, 3*time.Second, time.Second
	}
	if s.duration > 0 {
		cfg.Duration = s.duration
	}
	dir, err := os.MkdirTemp("", "rtcdev-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	v, err := newVessel(ctx, s, dir)
	if err != nil {
		return nil, err
	}
	if err := v.start(); err != nil {
		return nil, err
	}
	defer v.close()
	before, err := v.rest(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Server, cfg.Stop, cfg.Start = client.Server{Address: v.server.address, TLS: v.tls}, v.stop, v.start
	result, err := soak.Run(ctx, cfg)
	if err == nil && result.Faulty > 0 {
		err = fmt.Errorf("%d faults:\n  %s", result.Faulty, strings.Join(result.Faults, "\n  "))
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &v.server.log)
	}
	after, err := v.settle(ctx, before+goalGoroutines)
	if err != nil {
		return nil, err
	}
	v.stopSampling()
	r := newReport("soak", soakMeaning, 1)
	r.soaked(cfg, result)
	r.bound("goroutines more than before", "", []float64{float64(after - before)}, goalGoroutines)
	for i, samples := range v.samples {
		r.add(fmt.Sprintf("memory, server %d", i+1), "MiB", samples)
		r.bound(fmt.Sprintf("growth of memory, server %d", i+1), "of all", []float64{growth(samples)}, goalGrowth)
	}
	return r, nil
}

func (r *report) soaked(cfg soak.Config, result soak.Result) {
	for _, count := range []struct {
		name  string
		value int64
	}{
		{"peers", int64(2 * cfg.Rooms)}, {"seconds", int64(cfg.Duration / time.Second)},
		{"messages sent", result.Said}, {"messages that arrived", result.Heard},
		{"on their way when the server restarted", result.Said - result.Heard},
		{"lines broken", result.Broken}, {"lines resumed", result.Resumed},
		{"of them while the server still held the old one", result.Replaced},
		{"peers that rejoined after the restart", result.Rejoined},
		{"tries to connect that came to nothing", result.Retried},
	} {
		r.add(count.name, "", []float64{float64(count.value)})
	}
	for _, name := range []string{"lost, repeated or out of order", "could not resume in time"} {
		r.bound(name, "", []float64{0}, 0) // or there would be no report
	}
}

// A vessel is the server of a soak, through its restart.
type vessel struct {
	ctx        context.Context
	contestant contestant
	port       string
	tls        *tls.Config
	server     *process

	sampling sync.WaitGroup
	enough   context.CancelFunc
	samples  [][]float64 // MiB in memory, once a second, of each server
}

func newVessel(ctx context.Context, s settings, dir string) (*vessel, error) {
	c, err := newContest(ctx, s.programs, dir)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(rootFile(c.made))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	serve := c.serve(port, c.made)
	return &vessel{
		ctx: ctx, port: port,
		contestant: contestant{args: func(string) []string { return append(serve.args, "-q") }, env: serve.env},
		tls:        &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13},
	}, nil
}

func (v *vessel) start() error {
	server, err := startServer(v.ctx, v.contestant, v.port)
	if err != nil {
		return err
	}
	v.server = server
	v.samples = append(v.samples, nil)
	ctx, cancel := context.WithCancel(v.ctx)
	v.enough = cancel
	v.sampling.Go(func() { v.sample(ctx, server.pid()) })
	return nil
}

func (v *vessel) sample(ctx context.Context, pid int) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if m, err := procstat.ReadMemory(pid); err == nil {
			last := len(v.samples) - 1
			v.samples[last] = append(v.samples[last], float64(m.Now)/kib/kib)
		}
	}
}

func (v *vessel) stopSampling() {
	v.enough()
	v.sampling.Wait()
}

// stop has the server end as a person does, and fails if it takes too long.
func (v *vessel) stop() error {
	v.stopSampling()
	begin := time.Now()
	v.server.stop()
	if took := time.Since(begin); took >= stopLimit {
		return fmt.Errorf("the server was killed after %v", took)
	}
	return nil
}

func (v *vessel) close() {
	v.stopSampling()
	v.server.stop()
}

// goroutines is what the server says of itself.
func (v *vessel) goroutines(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost:"+v.port+"/_rtcdev/metrics", nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{TLSClientConfig: v.tls.Clone(), DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, fmt.Errorf("reading the server's metrics: %w", err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			_, err := io.Copy(io.Discard, resp.Body)
			n, wrong := strconv.ParseFloat(value, 64)
			return int(n), errors.Join(err, wrong)
		}
	}
	return 0, fmt.Errorf("the server's metrics (%s) have no go_goroutines", resp.Status)
}

// rest is how many goroutines the server has when it has seen one peer come and go:
// some of its own start with the first.
func (v *vessel) rest(ctx context.Context) (int, error) {
	p, err := client.Protocols()["native"].Join(ctx, client.Server{Address: v.server.address, TLS: v.tls}, "first")
	if err != nil {
		return 0, err
	}
	if err := p.Close(); err != nil {
		return 0, err
	}
	fewest := math.MaxInt
	for range 20 { // its connection may take a moment to end
		n, err := v.goroutines(ctx)
		if err != nil {
			return 0, err
		}
		fewest = min(fewest, n)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return fewest, nil
}

// settle waits until there are no more goroutines than at most, or as few as there
// will be.
func (v *vessel) settle(ctx context.Context, most int) (int, error) {
	end := time.After(time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := v.goroutines(ctx)
		if err != nil || n <= most {
			return n, err
		}
		select {
		case <-tick.C:
		case <-end:
			return n, nil
		case <-ctx.Done():
			return n, context.Cause(ctx)
		}
	}
}

// growth is how much the samples grow from first to last, in parts of their mean,
// by the straight line that fits them best. The first quarter does not count: it
// is when the peers come.
func growth(samples []float64) float64 {
	samples = samples[len(samples)/4:]
	n := float64(len(samples))
	if n < 2 {
		return 0
	}
	meanX, meanY := (n-1)/2, 0.0
	for _, y := range samples {
		meanY += y / n
	}
	var covariance, variance float64
	for i, y := range samples {
		covariance += (float64(i) - meanX) * (y - meanY)
		variance += (float64(i) - meanX) * (float64(i) - meanX)
	}
	return covariance / variance * (n - 1) / meanY
}
