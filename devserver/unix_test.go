//go:build unix

package devserver

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Opening a pipe waits for a writer, and each request would wait with it.
func TestPipeIsNotOpened(t *testing.T) {
	dir := folder(t, map[string]string{"index.html": "home"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.html"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := testSite(t, dir)
	status := make(chan int, 1)
	go func() { status <- get(s, "GET", "/pipe.html").StatusCode }()
	select {
	case got := <-status:
		if got != 404 {
			t.Errorf("status %d", got)
		}
	case <-time.After(patient):
		t.Fatal("the request hangs")
	}
}
