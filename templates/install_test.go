package templates

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNPM puts a program named npm, and nothing else, on PATH.
func fakeNPM(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for npm is a shell script")
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
}

func TestInstallPackagesWithoutNPM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := InstallPackages(t.Context(), t.TempDir(), nil); !errors.Is(err, ErrNoNPM) {
		t.Errorf("got %v", err)
	}
}

func TestInstallPackagesRunsNPMInTheFolder(t *testing.T) {
	fakeNPM(t, `echo "$@" in "$PWD"; echo warned >&2`)
	dir := t.TempDir()
	var out bytes.Buffer
	if err := InstallPackages(t.Context(), dir, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "install --no-audit --no-fund in ") ||
		!strings.Contains(got, filepath.Base(dir)) || !strings.Contains(got, "warned") {
		t.Errorf("npm was run as %q", got)
	}
}

func TestInstallPackagesFails(t *testing.T) {
	fakeNPM(t, "exit 7")
	err := InstallPackages(t.Context(), t.TempDir(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("got %v", err)
	}
}

func TestInstallPackagesIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fakeNPM(t, "echo started; exec /bin/sleep 60")
	start := time.Now()
	err := InstallPackages(ctx, t.TempDir(), writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
	if !errors.Is(err, context.Canceled) || time.Since(start) > 30*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The real npm, against the registry the machine is set up for, may be offline:
// so only the postinstall step is run, with a stand-in for the package.
func TestPostinstallPutsTheAdapterInPlace(t *testing.T) {
	requireTool(t, "npm", "npm")
	dir := t.TempDir()
	if _, err := Scaffold(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "node_modules", "webrtc-adapter", "out")
	mustMkdir(t, out)
	mustWrite(t, filepath.Join(out, "adapter.js"), "// the real one")
	if text, err := runIn(t, dir, "npm", "run", "--silent", "postinstall"); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "adapter.js")); err != nil || string(data) != "// the real one" {
		t.Errorf("adapter.js is %q, %v", data, err)
	}
}
