package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// One small round against the real coturn, with every figure there, nothing lost at
// the paced rate and nothing left behind.
func TestRelayRound(t *testing.T) {
	if _, err := exec.LookPath("turnserver"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("turnserver is missing: apt-get install coturn")
		}
		t.Skip("turnserver is missing: apt-get install coturn")
	}
	programs := build(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out, log bytes.Buffer
	if code := run([]string{"-programs", programs, "relay", "--json", "--quick", "--duration", "200ms"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 4*len(relayReadings()) || len(r.Ratios) != 2 {
		t.Errorf("%d results and %d ratios", len(r.Results), len(r.Ratios))
	}
	for _, m := range r.Results {
		if m.Min <= 0 && !strings.HasPrefix(m.Name, "lost") {
			t.Errorf("%+v", m)
		}
	}
	if !strings.Contains(log.String(), "round 1 of 1:  rtcdev ") {
		t.Errorf("no progress in %s", &log)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The best coturn of each round counts, and a goal that is to be reached is one.
func TestRelayRatios(t *testing.T) {
	round := func(cpu float64, packets int64) relayRound {
		return relayRound{paced: relayed{Delivered: 1_000_000, CPU: cpu, Wall: 1}, most: relayed{Delivered: packets, Wall: 1}}
	}
	servers := []turnServer{{contestant: contestant{name: "rtcdev"}}, {contestant: contestant{name: "a"}}, {contestant: contestant{name: "b"}}}
	r := newReport("test", "a test", 2)
	r.relaying(servers, [][]relayRound{
		{round(5, 1400), round(5, 1400)},
		{round(10, 1000), round(20, 700)},
		{round(20, 500), round(10, 1000)},
	})
	cpu, most := r.Ratios[0], r.Ratios[1]
	if want := (spread{0.5, 0.5, 0.5}); !near(cpu.spread, want) || !cpu.Met {
		t.Errorf("processor time: %+v", cpu)
	}
	if want := (spread{1.4, 1.4, 1.4}); !near(most.spread, want) || most.Met {
		t.Errorf("packets: %+v", most)
	}
	if got := r.Tables[0].rows[1]; !slices.Equal(got, []string{"most packets delivered", "**1.40** (< 1.50)"}) {
		t.Errorf("got %q", got)
	}
}

func near(a, b spread) bool {
	return max(a.Median-b.Median, b.Median-a.Median, a.Max-b.Max, b.Min-a.Min) < 1e-3
}
