package socketio

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// A stream over HTTP/2 lives on although nothing is sent for longer than a write may take.
func TestEventsThatAreQuiet(t *testing.T) {
	t.Parallel()
	s := start(t, signaling.Config{}, Config{}, true)
	resp, err := s.http.Client().Get(s.http.URL + Path + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Proto, resp.Status)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	if first := <-lines; !strings.HasPrefix(first, "data: 0{") {
		t.Fatalf("got %q", first)
	}
	quiet := time.After(transferTime + time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatal("the stream has ended")
			}
			if line != "" {
				t.Fatalf("got %q", line)
			}
		case <-quiet:
			return
		}
	}
}
