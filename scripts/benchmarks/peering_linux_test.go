package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// One small round with the real program, the real browser, and nothing left behind.
func TestPeersRound(t *testing.T) {
	for program, debianPackage := range map[string]string{"chromium": "chromium", "certutil": "libnss3-tools"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: apt-get install %s", program, debianPackage)
			}
			t.Skipf("%s is missing: apt-get install %s", program, debianPackage)
		}
	}
	programs := build(t)
	temp, err := os.MkdirTemp("", "p") // t.TempDir's is too long for the browser's socket (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	t.Setenv("TMPDIR", temp)
	var out, log bytes.Buffer
	if code := run([]string{"-programs", programs, "peers", "--json", "--quick"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Rounds != 3 || len(r.Results) != 10 {
		t.Fatalf("%+v", r)
	}
	for _, m := range r.Results {
		if m.Median == 0 { // the memory of so few may even become less
			t.Errorf("%+v", m)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPercentile95(t *testing.T) {
	var values []float64
	for n := range 20 {
		values = append(values, float64(20-n))
	}
	if got := percentile95(values); got != 19 {
		t.Errorf("of 1 to 20: %v", got)
	}
	if got := percentile95([]float64{7}); got != 7 {
		t.Errorf("of one: %v", got)
	}
}
