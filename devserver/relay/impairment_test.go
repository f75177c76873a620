package relay

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

func TestParseImpairment(t *testing.T) {
	for spec, want := range map[string]Impairment{
		"":    {},
		"off": {},
		"loss=5%,delay=100ms,jitter=20ms,rate=500kbps,reorder=1%": {0.05, 100 * time.Millisecond, 20 * time.Millisecond, 500_000, 0.01},
		" rate=2.5Mbps , loss=0.1%":                               {Loss: 0.001, Rate: 2_500_000},
		"LOSS=5%":                                                 {Loss: 0.05},
		"rate=64001bps":                                           {Rate: 64_001},
		"3g":                                                      {0.01, 100 * time.Millisecond, 20 * time.Millisecond, 1_600_000, 0},
	} {
		got, err := ParseImpairment(spec)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", spec, got, err)
		}
	}
	for _, spec := range []string{"5g", "loss=5", "loss=-1%", "loss=101%", "loss=NaN%", "delay=100", "delay=-1s", "delay=1h",
		"jitter=20ms", "delay=30ms,jitter=20ms", "rate=500", "rate=1bps", "rate=-1kbps", "rate=0kbps", "rate=0.5bps", "rate=1e300kbps", "loss=1%,loss=2%", "color=red", ","} {
		if got, err := ParseImpairment(spec); !errors.Is(err, ErrImpairment) {
			t.Errorf("%q is %+v, %v", spec, got, err)
		}
	}
	if !slices.IsSorted(Presets()) {
		t.Error("the presets are not sorted")
	}
	for _, name := range Presets() {
		if i, err := ParseImpairment(name); err != nil || i == (Impairment{}) {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
}

func FuzzParseImpairment(f *testing.F) {
	f.Add("loss=5%,delay=100ms,jitter=20ms,rate=500kbps,reorder=1%")
	f.Add("wifi-busy")
	f.Fuzz(func(t *testing.T, spec string) {
		i, err := ParseImpairment(spec)
		if err != nil {
			return
		}
		again, err := ParseImpairment(i.String())
		if err != nil || again.Delay != i.Delay || again.Rate != i.Rate || math.Abs(again.Loss-i.Loss) > 1e-5*i.Loss {
			t.Errorf("%q is %s, which is %s, %v", spec, i, again, err)
		}
	})
}

// trace sends packets of size through a link at even times, and returns how long they
// took, how many came out after a later one or not at all, and when the last one did.
func trace(i Impairment, packets, size int, gap time.Duration) (delays []time.Duration, overtaken, lost int, took time.Duration) {
	var l link
	l.set(i)
	l.rand = rand.New(rand.NewPCG(1, 2)) // the same every time
	begin := time.Unix(1_000_000, 0)
	var last time.Time
	for n := range packets {
		in := begin.Add(time.Duration(n) * gap)
		out, ok := l.plan(in, size)
		if !ok {
			lost++
			continue
		}
		if out.Before(last) {
			overtaken++
		}
		last = later(last, out)
		delays = append(delays, out.Sub(in))
	}
	return delays, overtaken, lost, last.Sub(begin)
}

func meanAndDeviation(of []time.Duration) (mean, deviation float64) {
	for _, d := range of {
		mean += float64(d) / float64(len(of))
	}
	for _, d := range of {
		deviation += (float64(d) - mean) * (float64(d) - mean) / float64(len(of))
	}
	return mean, math.Sqrt(deviation)
}

func within(got, want, part float64) bool { return math.Abs(got-want) <= part*want }

func TestDelayAndJitter(t *testing.T) {
	for _, i := range []Impairment{
		{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond},
		{Delay: 50 * time.Millisecond, Jitter: 25 * time.Millisecond},
		{Delay: time.Second, Jitter: 200 * time.Millisecond},
	} {
		for _, gap := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 3 * time.Second} {
			packets := int(max(2*time.Hour/gap, 10_000))
			delays, overtaken, lost, _ := trace(i, min(packets, 500_000), 1200, gap)
			mean, deviation := meanAndDeviation(delays)
			t.Logf("%s, a packet every %s: mean %s, deviation %s", i, gap, time.Duration(mean), time.Duration(deviation))
			if !within(mean, float64(i.Delay), 0.1) || !within(deviation, float64(i.Jitter), 0.1) {
				t.Error("mean or deviation is more than 10 % off")
			}
			if overtaken+lost != 0 {
				t.Errorf("%d packets were overtaken, %d lost", overtaken, lost)
			}
		}
	}
}

// The delay of two packets 20 ms apart is nearly the same.
func TestJitterIsSlow(t *testing.T) {
	i := Impairment{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond}
	delays, _, _, _ := trace(i, 100_000, 1200, 20*time.Millisecond)
	for n := range delays[1:] {
		if step := (delays[n+1] - delays[n]).Abs(); step > i.Jitter/2 {
			t.Fatalf("from %s to %s", delays[n], delays[n+1])
		}
	}
}

func TestLossAndReorder(t *testing.T) {
	const packets = 200_000
	_, _, lost, _ := trace(Impairment{Loss: 0.05}, packets, 1200, time.Millisecond)
	if !within(float64(lost), 0.05*packets, 0.1) {
		t.Errorf("%d of %d were lost", lost, packets)
	}
	// With 20 ms between packets each late one is overtaken by two.
	delays, overtaken, lost, _ := trace(Impairment{Reorder: 0.01, Delay: 40 * time.Millisecond}, packets, 1200, 20*time.Millisecond)
	if !within(float64(overtaken), 2*0.01*packets, 0.1) || lost != 0 {
		t.Errorf("%d of %d were overtaken, %d lost", overtaken, packets, lost)
	}
	if late := slices.Max(delays); late != 40*time.Millisecond+reorderHold {
		t.Errorf("the latest took %s", late)
	}
}

func TestRate(t *testing.T) {
	// A page sends twice what fits: half is lost, and the queue is bounded.
	delays, _, lost, took := trace(Impairment{Rate: 500_000}, 10_000, 1250, 10*time.Millisecond)
	rate := float64(len(delays)) * 1250 * 8 / took.Seconds()
	if !within(rate, 500_000, 0.01) {
		t.Errorf("%.0f bits per second got through", rate)
	}
	if !within(float64(lost), 5000, 0.02) {
		t.Errorf("%d were lost", lost)
	}
	if longest := slices.Max(delays); longest > queueTime+20*time.Millisecond {
		t.Errorf("one took %s", longest)
	}
	// One that sends less than fits loses nothing.
	if _, _, lost, _ := trace(Impairment{Rate: 500_000}, 1000, 1200, 20*time.Millisecond); lost != 0 {
		t.Errorf("%d were lost", lost)
	}
}

// A network that becomes good does not make new packets overtake old ones.
func TestChangeDoesNotReorder(t *testing.T) {
	var l link
	l.set(Impairment{Delay: time.Second})
	now := time.Unix(1_000_000, 0)
	old, _ := l.plan(now, 100)
	for _, better := range []Impairment{{Delay: 10 * time.Millisecond}, {}} {
		l.set(better)
		if out, ok := l.plan(now.Add(time.Millisecond), 100); !ok || out.Before(old) {
			t.Errorf("with %s: %s before", better, old.Sub(out))
		}
	}
	if out, _ := l.plan(now.Add(2*time.Second), 100); !out.Equal(now.Add(2 * time.Second)) {
		t.Errorf("later: %s late", out.Sub(now))
	}
}

// A rate that is raised while the queue is full loses nothing for it.
func TestRaisedRateLosesNothing(t *testing.T) {
	var l link
	l.set(Impairment{Rate: 10_000})
	now := time.Unix(1_000_000, 0)
	var last time.Time
	for range 20 {
		if out, ok := l.plan(now, 1200); ok {
			last = out
		}
	}
	if last.Sub(now) < 5*time.Second {
		t.Fatalf("the queue is only %s", last.Sub(now))
	}
	l.set(Impairment{Rate: 1_000_000})
	for n := range 100 {
		now = now.Add(100 * time.Millisecond)
		out, ok := l.plan(now, 1200)
		if !ok || out.Before(last) {
			t.Fatalf("packet %d: lost, or %s before those of the old queue", n, last.Sub(out))
		}
	}
	l.set(Impairment{Rate: 1_000_000, Delay: time.Millisecond}) // the same rate keeps its queue
	free := l.free
	if l.set(l.is); free.IsZero() || l.free != free {
		t.Error("a change of something else empties the queue")
	}
}

// The whole way through a server, in virtual time: a packet each 20 ms from client 0
// to client 1, which say when they were sent.
func TestImpair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{Lifetime: time.Hour})
		defer end()
		for n, session := range []string{"a", "b"} {
			w.allocate(t, s, n, session)
		}
		bind := func() { // it lasts for 10 minutes
			for n, session := range []string{"a", "b"} {
				number := stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 1, 0, 0}}
				if code := w.ask(t, s, at(n), session, stun.MethodChannelBind, number, to(s.relayedOf(at(1-n)).addr)); code != 0 {
					t.Fatal(code)
				}
			}
		}
		check := func(name string, impair func() error, mean, deviation time.Duration, loss float64) {
			t.Helper()
			bind()
			if err := impair(); err != nil {
				t.Fatal(err)
			}
			const packets = 20_000
			delays := w.stream(packets)
			gotMean, gotDeviation := meanAndDeviation(delays)
			t.Logf("%s: mean %s, deviation %s, %d of %d lost", name, time.Duration(gotMean), time.Duration(gotDeviation), packets-len(delays), packets)
			if !within(gotMean, float64(mean), 0.1) || !within(gotDeviation, float64(deviation), 0.1) ||
				!within(float64(packets-len(delays)), loss*packets, 0.2) {
				t.Errorf("%s is not what was asked for", name)
			}
		}
		bad := Impairment{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05}
		impair := func(paths map[string]Path) func() error {
			return func() error { return s.Impair(func(session string) Path { return paths[session] }) }
		}
		all := Path{Up: bad}
		check("all", impair(map[string]Path{"a": all, "b": all}), bad.Delay, bad.Jitter, 0.05)
		slow := Impairment{Delay: 200 * time.Millisecond, Jitter: 40 * time.Millisecond}
		both := Path{Up: slow, Down: slow}
		check("the sender's own", impair(map[string]Path{"a": both, "b": all}), slow.Delay, slow.Jitter, 0)
		check("both their own", impair(map[string]Path{"a": both, "b": both}), 2*slow.Delay,
			time.Duration(math.Sqrt2*float64(slow.Jitter)), 0)
		check("the receiver's", impair(map[string]Path{"b": both}), slow.Delay, slow.Jitter, 0)
		check("no such bad network", impair(map[string]Path{"a": {Up: Impairment{Loss: 2}}}), 0, 0, 0)
		check("off", func() error { return s.Impair(nil) }, 0, 0, 0)
	})
}

// A session that comes after the call has the network that it is told then, each of
// one owner's its own, and again when it comes back.
func TestImpairLaterSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{Lifetime: time.Hour})
		defer end()
		delay := map[string]time.Duration{"a.1": 100 * time.Millisecond, "a.2": 300 * time.Millisecond}
		var asked []string
		impair := func() {
			if err := s.Impair(func(session string) Path {
				asked = append(asked, session)
				return Path{Up: Impairment{Delay: delay[session]}}
			}); err != nil {
				t.Fatal(err)
			}
		}
		impair()
		w.allocate(t, s, 1, "b")
		check := func(session string, want time.Duration) {
			t.Helper()
			w.allocate(t, s, 0, session)
			for n, name := range []string{session, "b"} {
				number := stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 1, 0, 0}}
				if code := w.ask(t, s, at(n), name, stun.MethodChannelBind, number, to(s.relayedOf(at(1-n)).addr)); code != 0 {
					t.Fatal(code)
				}
			}
			for _, took := range w.stream(5) {
				if took != want {
					t.Errorf("%s: a packet took %s, not %s", session, took, want)
				}
			}
			if err := s.relayedOf(at(0)).Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			// A channel's number and peer stay each other's for a while (RFC 8656 §12).
			if err := s.relayedOf(at(1)).Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			w.allocate(t, s, 1, "b")
		}
		check("a.1", 100*time.Millisecond)
		check("a.2", 300*time.Millisecond)
		check("a.3", 0)
		delay["a.1"] = 200 * time.Millisecond
		check("a.1", 200*time.Millisecond) // asked again, because it had gone
		delay["a.1"] = 50 * time.Millisecond
		impair()
		check("a.1", 50*time.Millisecond)
		if !slices.Contains(asked, "b") || slices.Contains(asked, "a") {
			t.Errorf("asked for %q", asked)
		}
	})
}

func (s *Server) relayedOf(from interface{ String() string }) *relayed {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	for _, r := range s.hub.sockets {
		if r.client.net.String() == from.String() {
			return r
		}
	}
	return nil
}

// stream sends from client 0, and returns how long the packets took.
func (w *wire) stream(packets int) (delays []time.Duration) {
	go func() {
		for range packets {
			frame := channelData(1200)
			binary.BigEndian.PutUint64(frame[headroom:], uint64(time.Now().UnixNano()))
			w.in <- datagram{frame, at(0)}
			<-time.After(20 * time.Millisecond)
		}
	}()
	late := time.After(time.Duration(packets)*20*time.Millisecond + 5*time.Second)
	for {
		select {
		case d := <-w.out:
			sent := int64(binary.BigEndian.Uint64(d.data[headroom:]))
			delays = append(delays, time.Duration(time.Now().UnixNano()-sent))
		case <-late:
			return delays
		}
	}
}
