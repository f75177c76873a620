package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{9, 1, 4, 6}, spread{5, 1, 9}},
	} {
		if got := newSpread(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
}

// One slow round of both must not count, as it would in a ratio of medians.
func TestRatiosAreOfOneRound(t *testing.T) {
	r := newReport("test", "a test", 3)
	r.compare("a", []float64{30, 2, 3}, []float64{10, 2, 1}, 3)
	r.compare("b", []float64{30, 2, 3}, []float64{10, 2, 1}, 2.9)
	want := spread{3, 1, 3}
	if a := r.Ratios[0]; a.spread != want || !a.Met {
		t.Errorf("got %+v", a)
	}
	if b := r.Ratios[1]; b.spread != want || b.Met {
		t.Errorf("got %+v", b)
	}
}

func TestReportSaysWhetherGoalsAreMet(t *testing.T) {
	r := newReport("test", "a test", 2)
	r.add("ours", "ms", []float64{10, 20})
	r.compare("good", []float64{1, 1}, []float64{1, 1}, 1.5)
	r.compare("bad", []float64{9, 9}, []float64{1, 1}, 2)
	r.exceed("more", []float64{9, 9}, []float64{1, 1}, 8)
	r.exceed("less", []float64{9, 9}, []float64{1, 1}, 10)
	var text bytes.Buffer
	if err := r.print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"15.0 ms   (10.0–20.0)", "at most 1.5: goal met", "at most 2: goal missed",
		"at least 8: goal met", "at least 10: goal missed", "2 rounds"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"name":"ours","unit":"ms","median":15,"min":10,"max":20}`; !strings.Contains(string(encoded), want) {
		t.Errorf("no %s in\n%s", want, encoded)
	}
}
