package signaling

import (
	"bytes"
	"context"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scrape reads the metrics as Prometheus does (text format 0.0.4): each metric has one
// HELP and one TYPE, before its values, which follow each other and are all different.
func scrape(t *testing.T, h *Hub) map[string]float64 {
	t.Helper()
	var text bytes.Buffer
	if err := h.WriteMetrics(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), "\n") {
		t.Error("the last line has no end")
	}
	values, helped, typed := map[string]float64{}, map[string]bool{}, map[string]string{}
	current := ""
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			if helped[name] || help == "" {
				t.Errorf("%q: said before: %v", line, helped[name])
			}
			helped[name], current = true, name
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if name != current || typed[name] != "" || !strings.Contains("counter gauge histogram", kind) {
				t.Errorf("%q after the HELP of %s", line, current)
			}
			typed[name] = kind
			continue
		}
		series, value, ok := strings.Cut(line, " ")
		name, labels, _ := strings.Cut(series, "{")
		if typed[current] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
		}
		number, err := strconv.ParseFloat(value, 64)
		_, double := values[series]
		if !ok || err != nil || name != current || typed[name] == "" || double || labels != "" && !strings.HasSuffix(labels, `"}`) {
			t.Errorf("%q among the values of %s: %v", line, current, err)
		}
		if typed[name] == "counter" && !strings.HasSuffix(name, "_total") {
			t.Errorf("the counter %s has another name than counters have", name)
		}
		values[series] = number
	}
	for name := range helped {
		if typed[name] == "" {
			t.Errorf("%s has no type", name)
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxMessage: 1000, MaxPerAddress: 5})
	wantMetrics(t, scrape(t, s.hub), map[string]float64{"rtcdev_rooms": 0, "rtcdev_peers_away": 0, "rtcdev_handshake_seconds_count": 0})

	witness, c := s.pair()
	witness.send(hello)
	c.next()
	l := s.listenIn("elsewhere")
	l.wantUndisturbed()
	bad := s.join("bad")
	bad.send("no JSON")
	bad.wantClose("bad-message", 4002)
	eventually(t, "the line is over", func() bool { return scrape(t, s.hub)[`rtcdev_closes_total{code="4002"}`] == 1 })
	_, fourth := s.join("third"), s.join("fourth")
	if _, _, err := s.dial("fifth", nil); err == nil {
		t.Fatal("there is room for a fifth")
	}
	fourth.conn.Close()
	eventually(t, "the line is over", func() bool { return scrape(t, s.hub)[`rtcdev_closes_total{code="1006"}`] == 1 })
	s.comeBack("forged", 0).wantClose("cannot-resume", 4004)
	eventually(t, "the line is over", func() bool { return scrape(t, s.hub)[`rtcdev_closes_total{code="4004"}`] == 1 })
	c.snap()
	s.awaitAway(1)
	wantMetrics(t, scrape(t, s.hub), map[string]float64{"rtcdev_peers_away": 1, `rtcdev_peers{door="native"}`: 3})
	s.resume(c, 2, 1)
	eventually(t, "it is counted", func() bool { return scrape(t, s.hub)[`rtcdev_resumes_total{result="resumed"}`] == 1 })

	wantMetrics(t, scrape(t, s.hub), map[string]float64{
		"rtcdev_rooms": 3, "rtcdev_peers_away": 0, "rtcdev_queue_bytes": 0, "rtcdev_queue_bytes_max": 0,
		`rtcdev_connections{door="native"}`: 3, `rtcdev_connections{door="events"}`: 1,
		`rtcdev_connections_total{door="native"}`: 7, `rtcdev_connections_total{door="events"}`: 1,
		`rtcdev_peers{door="native"}`: 3, `rtcdev_peers{door="events"}`: 1,
		// A ping, a signal and what is no JSON.
		`rtcdev_messages_received_total{door="native"}`: 3, `rtcdev_messages_received_total{door="events"}`: 1,
		`rtcdev_received_bytes_total{door="native"}`: float64(len(`{"type":"ping"}`) + len(hello) + len("no JSON")),
		// A peer that joined, a pong and a signal.
		`rtcdev_messages_sent_total{door="native"}`: 3, `rtcdev_messages_sent_total{door="events"}`: 1,
		`rtcdev_sent_bytes_total{door="events"}`:  float64(len(pongText)),
		`rtcdev_refused_total{code="overloaded"}`: 1,
		`rtcdev_resumes_total{result="resumed"}`:  1, `rtcdev_resumes_total{result="refused"}`: 1,
	})
	for _, name := range []string{"go_goroutines", "go_memstats_heap_alloc_bytes", "go_memstats_sys_bytes", "go_memstats_alloc_bytes_total"} {
		if scrape(t, s.hub)[name] < 1 {
			t.Errorf("%s is missing", name)
		}
	}
}

func wantMetrics(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s: %v (there: %v), want %v", name, v, ok, value)
		}
	}
}

// The buckets of a histogram are cumulative, and the last is the number of all.
func TestHandshakeHistogram(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	for _, ago := range []time.Duration{0, 3 * time.Millisecond, 30 * time.Millisecond, 3 * time.Second, time.Hour} {
		h.metrics.handshake(Arrival(context.Background(), time.Now().Add(-ago)))
	}
	h.metrics.handshake(context.Background()) // of which nobody knows when it came
	got := scrape(t, h)
	for limit, want := range map[string]float64{"0.001": 1, "0.005": 2, "0.05": 3, "2": 3, "5": 4, "+Inf": 5} {
		if n := got[`rtcdev_handshake_seconds_bucket{le="`+limit+`"}`]; n != want {
			t.Errorf("up to %s s: %v, want %v", limit, n, want)
		}
	}
	if n, sum := got["rtcdev_handshake_seconds_count"], got["rtcdev_handshake_seconds_sum"]; n != 5 || math.Abs(sum-3603.033) > 1 {
		t.Errorf("%v in %v s", n, sum)
	}
}
