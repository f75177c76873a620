package peer

import (
	"context"
	"errors"
	"sync"
	"testing"

	"rtcdev/devserver/signaling"
)

// Two peers, of every pair of modes that makes sense, have media both ways.
func TestTwoPeers(t *testing.T) {
	s := serve(t, signaling.Config{}, nil)
	for _, modes := range [][2]Mode{{Pattern, Pattern}, {Pattern, Echo}, {Echo, Pattern}, {Pattern, Sink}} {
		t.Run(modes[0].String()+" and "+modes[1].String(), func(t *testing.T) {
			room := t.Name()[len("TestTwoPeers/"):len("TestTwoPeers/")+4] + modes[1].String()
			first := run(t, s.config(room, modes[0]))
			second := run(t, s.config(room, modes[1]))
			enough := func(s Stats) bool { return s.Flowed && s.FramesReceived > 25 }
			if modes[1] != Sink {
				first.until("media both ways", enough)
			} else {
				first.until("delivered media", func(s Stats) bool { return s.MediaDelivered })
			}
			got := second.until("media both ways", enough)
			if len(got.Pairs) != 1 || got.Pairs[0].Local == "" || got.PacketsLost != 0 {
				t.Errorf("pairs and loss: %+v", got)
			}
			t.Logf("first %+v", first.end())
			t.Logf("second %+v", second.end())
		})
	}
}

func TestRunFails(t *testing.T) {
	s := serve(t, signaling.Config{RoomSize: 1}, nil)
	first := run(t, s.config("full", Sink))
	first.until("being in the room", func(s Stats) bool { return s.Peer != "" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := Run(ctx, s.config("full", Sink))
	var refused *signaling.Error
	if !errors.As(err, &refused) || refused.Code != signaling.RoomFull {
		t.Errorf("joining a full room: %v", err)
	}
	untrusted := s.config("full", Sink)
	untrusted.TLS = nil
	if _, err := Run(ctx, untrusted); err == nil {
		t.Error("a certificate that nothing vouches for was taken")
	}
	for _, bad := range []string{"", "localhost:8443", "ftp://localhost/", "https://", "https://localhost/?room=%01", "https://\x7f"} {
		if _, err := Run(ctx, Config{URL: bad}); err == nil {
			t.Errorf("the address %q was taken", bad)
		}
	}
}

func TestRunAll(t *testing.T) {
	s := serve(t, signaling.Config{}, nil)
	cfg := s.config("", Pattern)
	cfg.URL, cfg.Count, cfg.PerRoom = s.web.URL+"/?room=%d%d0%b0", 4, 2
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	flowed := make(map[string]bool) // by the peer's id
	cfg.OnStats = func(s Stats) {
		mu.Lock()
		defer mu.Unlock()
		if s.Flowed {
			flowed[s.Peer] = true
		}
		if len(flowed) == cfg.Count {
			cancel()
		}
	}
	all, err := RunAll(ctx, cfg)
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, s := range all {
		if want := string(rune('1'+i/2)) + "а"; !s.Flowed || s.Room != want || s.Met != 1 {
			t.Errorf("peer %d: %+v", i, s)
		}
	}
	cfg.URL = "https://"
	if _, err := RunAll(t.Context(), cfg); err == nil {
		t.Error("no error")
	}
}
