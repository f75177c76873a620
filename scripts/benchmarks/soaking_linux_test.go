package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// One small soak of the real program.
func TestSoakRound(t *testing.T) {
	programs := build(t)
	t.Setenv("TMPDIR", t.TempDir())
	var out, log bytes.Buffer
	if code := run([]string{"-programs", programs, "soak", "--json", "--quick"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range r.Results {
		values[m.Name] = m.Median
	}
	if values["messages that arrived"] < 100 || values["lines resumed"] < 1 || values["peers that rejoined after the restart"] != 40 {
		t.Errorf("%v", values)
	}
	if !strings.Contains(log.String(), "restarting the server") {
		t.Errorf("no progress in %s", &log)
	}
}

func TestGrowth(t *testing.T) {
	flat, rising := []float64{1, 40, 100, 99}, []float64{0, 0, 0}
	for i := range 50 {
		flat = append(flat, 100+float64(i%2))
		rising = append(rising, 100+float64(i))
	}
	if g := growth(flat[2:]); math.Abs(g) > 0.02 {
		t.Errorf("flat: %v", g)
	}
	if g := growth(rising[3:]); g < 0.25 || g > 0.35 { // the last three quarters, from 112 to 149
		t.Errorf("rising: %v", g)
	}
	if g := growth([]float64{5}); g != 0 {
		t.Errorf("one sample: %v", g)
	}
}
