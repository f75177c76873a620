package certs

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary runs itself again as a process that makes authorities.
const (
	childModeEnv  = "RTCDEV_TEST_CHILD" // see childMain
	childDirEnv   = "RTCDEV_TEST_DIR"
	childLimitEnv = "RTCDEV_TEST_LIMIT" // see limitSelf
)

func TestMain(m *testing.M) {
	plainUmask()
	if mode := os.Getenv(childModeEnv); mode != "" {
		os.Exit(childMain(mode, os.Getenv(childDirEnv)))
	}
	goleak.VerifyTestMain(m)
}

// childMain says "ready", waits for its input to end, and does as mode says:
//
//	once             calls OpenOrCreate with dir and prints what came of it
//	forever          calls it with dir/0, dir/1 …
//	replace          reads the root first, and calls Replace instead
//	replace forever  does that over and over
//	destroy          calls destroy, which fails
//	pair             calls WritePair, which fails
//	describe         calls Describe and prints the state of the key, too
func childMain(mode, dir string) int {
	limitSelf(os.Getenv(childLimitEnv))
	old, _ := OpenRoot(dir)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	var a *Authority
	var created bool
	var err error
	switch mode {
	case "once":
		a, created, err = OpenOrCreate(dir, Options{})
	case "forever":
		for i := 0; err == nil; i++ {
			_, _, err = OpenOrCreate(filepath.Join(dir, strconv.Itoa(i), "authority"), Options{})
		}
	case "describe":
		var d Description
		d, err = Describe(dir)
		fmt.Println("key:", d.Key)
	case "pair":
		var pair *tls.Certificate
		if pair, err = SelfSigned([]string{"localhost"}); err == nil {
			_, _, err = WritePair(dir, pair, true)
		}
		var fault *WriteError
		if !errors.As(err, &fault) {
			fmt.Println("no *WriteError")
		}
	case "destroy":
		err = destroy(dir)
	case "replace":
		a, err = Replace(dir, old, Options{})
	case "replace forever":
		for err == nil {
			if a, err = Replace(dir, old, Options{}); err == nil {
				old = a.Root()
			}
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		var fault *StoreError
		if errors.As(err, &fault) {
			fmt.Println("next:", fault.Fix)
		}
		return 1
	}
	if a != nil {
		fmt.Println(created, a.Fingerprint())
	}
	return 0
}

// child is a running childMain that waits for its start.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	output *bufio.Reader
}

func startChild(t *testing.T, mode, dir, limit string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childModeEnv+"="+mode, childDirEnv+"="+dir, childLimitEnv+"="+limit)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, stdin, bufio.NewReader(stdout)}
	if line, err := c.output.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the child said %q, error %v", line, err)
	}
	return c
}

// finish lets the child go on and returns what it prints.
func (c *child) finish(t *testing.T) string {
	t.Helper()
	_ = c.stdin.Close()
	out, err := io.ReadAll(c.output)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
	return strings.TrimSpace(string(out))
}

// sharedTempDir is a temporary folder that other users may enter.
func sharedTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestProcessesEndWithOneAuthority(t *testing.T) {
	for _, emptyFolder := range []bool{false, true} {
		t.Run(fmt.Sprintf("empty folder %v", emptyFolder), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "home", "authority")
			if emptyFolder {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var children []*child
			for range 6 {
				children = append(children, startChild(t, "once", dir, ""))
			}
			for _, c := range children {
				_ = c.stdin.Close()
			}
			creators, fingerprints := 0, map[string]bool{}
			for _, c := range children {
				result := c.finish(t)
				created, fingerprint, _ := strings.Cut(result, " ")
				if len(fingerprint) != 95 {
					t.Fatalf("a process failed: %s", result)
				}
				fingerprints[fingerprint] = true
				if created == "true" {
					creators++
				}
			}
			if creators != 1 || len(fingerprints) != 1 {
				t.Errorf("%d processes made %d authorities, want one each", creators, len(fingerprints))
			}
			if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

// TestKilledProcess kills processes until three of them were caught with a store
// half written, and looks at what they left.
func TestKilledProcess(t *testing.T) {
	deadline := time.Now().Add(time.Minute)
	caught := 0
	for round := 0; caught < 3; round++ {
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d killed processes were caught while writing", caught, round)
		}
		base := t.TempDir()
		c := startChild(t, "forever", base, "")
		_ = c.stdin.Close()
		waitForTemporary(t, base, deadline)
		_ = c.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, c.output)
		_ = c.cmd.Wait()
		if leftTemporary(t, base) {
			caught++
		}
		homes, _ := filepath.Glob(filepath.Join(base, "*"))
		for _, home := range homes {
			dir := filepath.Join(home, "authority")
			_, statErr := os.Stat(dir)
			if _, err := Open(dir); (err != nil) != (statErr != nil) {
				t.Fatalf("%s: stat says %v, Open says %v", dir, statErr, err)
			}
			if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
				t.Fatalf("after a kill: %v", err)
			}
		}
	}
}

// waitForTemporary returns as soon as any process has begun to write a store.
func waitForTemporary(t *testing.T, base string, deadline time.Time) {
	t.Helper()
	for i := 0; time.Now().Before(deadline); {
		home := filepath.Join(base, strconv.Itoa(i))
		if entries, _ := os.ReadDir(home); len(entries) > 0 && strings.HasPrefix(entries[0].Name(), temporaryPrefix) {
			return
		}
		if _, err := os.Stat(filepath.Join(home, "authority")); err == nil {
			i++
		}
	}
	t.Fatal("no process began to write a store")
}

func leftTemporary(t *testing.T, base string) bool {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(base, "*", temporaryPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(left) > 0
}

func TestSweep(t *testing.T) {
	home := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for name, content := range map[string]string{
		".authority-old/" + rootFile:     "half",
		".authority-young/" + rootFile:   "half",
		".authority-foreign/letter.txt":  "not ours",
		".other-old/" + intermediateFile: "not ours",
	} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(name, "young") {
			if err := os.Chtimes(filepath.Dir(path), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := OpenOrCreate(filepath.Join(home, "authority"), Options{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		".authority-old": false, ".authority-young": true, ".authority-foreign/letter.txt": true, ".other-old": true,
	} {
		if _, err := os.Stat(filepath.Join(home, name)); (err == nil) != want {
			t.Errorf("%s: kept %v, want %v", name, err == nil, want)
		}
	}
}
