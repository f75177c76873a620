package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build builds the programs that the benchmarks run.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
		"-o", dir+string(filepath.Separator), "rtcdev/cmd/rtcdev", "rtcdev/scripts/benchmarks/...")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// One real round of each benchmark, with nothing left behind.
func TestRounds(t *testing.T) {
	programs := build(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out, log bytes.Buffer
	if code := run([]string{"-programs", programs, "startup", "--json", "--rounds", "1"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 3 || len(r.Ratios) != 2 || r.Rounds != 1 {
		t.Fatalf("%+v", r)
	}
	for _, m := range r.Results {
		if m.Min <= 0 || m.Min != m.Max {
			t.Errorf("%+v", m)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A response counts only when its certificate leads to the server's own root.
func TestUntrustedResponseDoesNotCount(t *testing.T) {
	programs := build(t)
	ours, err := newContest(t.Context(), programs, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := newContest(t.Context(), programs, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ home, root, body, want string }{
		{ours.made, rootFile(ours.made), startupPage, ""},
		{ours.made, rootFile(other.made), startupPage, "certificate signed by unknown authority"},
		{ours.made, rootFile(ours.made), "another page", "the answer is 200"},
	} {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		s := ours.serve(port, test.home)
		s.root = test.root
		_, err = s.firstResponse(t.Context(), port, test.body)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("got %v, want %q", err, test.want)
		}
		if conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second); err == nil {
			conn.Close()
			t.Error("the server still runs")
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"nothing"}, {"--fast"}, {"startup", "--rounds", "many"}} {
		var out, log bytes.Buffer
		if code := run(args, &out, &log); code != 2 || out.Len() > 0 || log.Len() == 0 {
			t.Errorf("%v: exit code %d, %q, %q", args, code, &out, &log)
		}
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	dir := t.TempDir()
	_, err := startup(t.Context(), settings{programs: dir})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, "rtcdev")) {
		t.Errorf("got %v", err)
	}
}
