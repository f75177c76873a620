package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is the outcome of one benchmark. It is printed as a table or as JSON.
type report struct {
	Benchmark string `json:"benchmark"`
	About     string `json:"about"`
	Date      string `json:"date"` // RFC 3339
	CPU       string `json:"cpu"`
	CPUs      int    `json:"cpus"`
	System    string `json:"system"` // GOOS/GOARCH
	Go        string `json:"go"`
	Rounds    int    `json:"rounds"`

	Results []result `json:"results"`
	Ratios  []ratio  `json:"ratios"`
	Tables  []table  `json:"-"` // the same once more, for people; without any, a list
}

// newReport fills in what all reports say of the machine.
func newReport(name, about string, rounds int) *report {
	return &report{
		Benchmark: name, About: about, Date: time.Now().Format(time.RFC3339), CPU: cpuModel(), CPUs: runtime.NumCPU(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Rounds: rounds,
	}
}

// A result is one thing measured, over all rounds.
type result struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	spread
	Verdict *verdict `json:"verdict,omitempty"` // where it has a goal of its own
}

// A verdict is on a median.
type verdict struct {
	Goal    float64 `json:"goal"` // at most
	Met     bool    `json:"met"`
	AtLeast bool    `json:"at_least,omitempty"` // not at most
}

// A ratio compares two things measured in the same round, over all rounds.
type ratio struct {
	Name string `json:"name"`
	verdict
	spread
}

// String is the end of a line of the list; empty without a goal.
func (v *verdict) String() string {
	if v == nil {
		return ""
	}
	bound, outcome := "most", "missed"
	if v.AtLeast {
		bound = "least"
	}
	if v.Met {
		outcome = "met"
	}
	return fmt.Sprintf("\tat %s %.3g: goal %s", bound, v.Goal, outcome)
}

type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// newSpread needs at least one value.
func newSpread(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// add reports what was measured, one value for each round.
func (r *report) add(name, unit string, values []float64) {
	r.Results = append(r.Results, result{name, unit, newSpread(values), nil})
}

// bound reports what was measured and has a goal of its own.
func (r *report) bound(name, unit string, values []float64, goal float64) {
	s := newSpread(values)
	r.Results = append(r.Results, result{name, unit, s, &verdict{Goal: goal, Met: s.Median <= goal}})
}

// compare reports how many times the limit the values are, round by round: the
// median of the ratios, not the ratio of the medians.
func (r *report) compare(name string, values, limit []float64, goal float64) {
	s := newSpread(ratios(values, limit))
	r.Ratios = append(r.Ratios, ratio{name, verdict{Goal: goal, Met: s.Median <= goal}, s})
}

// exceed is compare where the goal is to be reached.
func (r *report) exceed(name string, values, limit []float64, goal float64) {
	s := newSpread(ratios(values, limit))
	r.Ratios = append(r.Ratios, ratio{name, verdict{Goal: goal, Met: s.Median >= goal, AtLeast: true}, s})
}

func ratios(values, limit []float64) []float64 {
	each := make([]float64, len(values))
	for i := range values {
		each[i] = values[i] / limit[i]
	}
	return each
}

func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: %s\n", r.Benchmark, r.About)
	fmt.Fprintf(out, "%s, %s (%d CPUs), %s, %s, %d rounds\n\n", r.Date, r.CPU, r.CPUs, r.System, r.Go, r.Rounds)
	if len(r.Tables) > 0 {
		return r.printTables(out)
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, m := range r.Results {
		fmt.Fprintf(w, "  %s\t%.1f %s\t(%.1f–%.1f)%s\n", m.Name, m.Median, m.Unit, m.Min, m.Max, m.Verdict)
	}
	for _, m := range r.Ratios {
		fmt.Fprintf(w, "  %s\t%.2f ×\t(%.2f–%.2f)%s\n", m.Name, m.Median, m.Min, m.Max, &m.verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nMedians (minimum–maximum); a ratio is the median of the rounds' own ratios.\n")
	return err
}

// cpuModel is the processor's name where the system has a file that says it.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
