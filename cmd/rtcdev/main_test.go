package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts the real program on PATH as "rtcdev", for scripts and for tests
// that start it themselves.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rtcdev": func() { os.Exit(run()) }})
}

// need returns the path of a program that the test cannot do without.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: apt-get install %s", program, debianPackage)
		}
		t.Skipf("%s is missing: apt-get install %s", program, debianPackage)
	}
	return path
}
