package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// needCounterparts skips the test where the servers to measure against are not
// there, and fails it in CI.
func needCounterparts(t *testing.T) string {
	t.Helper()
	const modules = "../counterparts/node_modules"
	missing := ""
	if _, err := exec.LookPath("node"); err != nil {
		missing = "Node is not there: install nodejs"
	} else if _, err := exec.LookPath("taskset"); err != nil {
		missing = "taskset is not there: install util-linux"
	} else if _, err := os.Stat(modules + "/socket.io"); err != nil {
		missing = "the npm packages are not there: npm ci --prefix scripts/counterparts --ignore-scripts"
	}
	switch {
	case missing != "" && os.Getenv("CI") == "true":
		t.Fatal(missing)
	case missing != "":
		t.Skip(missing)
	}
	return modules
}

// One small round of everything, with every figure there and nothing left behind.
func TestSignalingRound(t *testing.T) {
	modules := needCounterparts(t)
	programs := build(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out, log bytes.Buffer
	if code := run([]string{"-programs", programs, "-counterparts", modules, "signaling", "--json", "--quick"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	const contestants, readings, memories, compared = 4, 7, 5, 6
	if len(r.Results) != contestants*(readings+memories) || len(r.Ratios) != (contestants-1)*compared {
		t.Errorf("%d results and %d ratios", len(r.Results), len(r.Ratios))
	}
	for _, m := range r.Results {
		if m.Min <= 0 && !strings.HasPrefix(m.Name, "memory per") { // few connections may fit into what was free
			t.Errorf("%+v", m)
		}
	}
	if !strings.Contains(log.String(), "round 1 of 1: joins:") {
		t.Errorf("no progress in %s", &log)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMissingPackagesAreNamed(t *testing.T) {
	dir := t.TempDir()
	_, err := signaling(t.Context(), settings{programs: dir, counterparts: dir, progress: t.Output()})
	if err == nil || !strings.Contains(err.Error(), "npm packages") {
		t.Errorf("got %v", err)
	}
}
