package signaling

import (
	"net/http"
	"testing"
	"time"
)

// Whoever looks at the terminal learns who was refused and why, once for each reason.
func TestRefusalsAreReported(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for range 3 {
		if _, _, err := s.dial("r", http.Header{"Origin": {"https://evil.example"}}); err == nil {
			t.Fatal("a foreign page is let in")
		}
	}
	if e := s.event(Refused); e.Reason.Code != ForeignOrigin || e.Origin != "https://evil.example" || e.Addr == "" {
		t.Errorf("%+v", e)
	}
	s.join("r")
	s.event(Joined)
	s.join("r")
	s.event(Joined)
	for range 3 {
		s.connect("r").wantClose("room-full", 4001)
	}
	if e := s.event(Refused); e.Reason.Code != RoomFull {
		t.Errorf("%+v", e)
	}
	select {
	case e := <-s.events:
		t.Errorf("told again: %+v", e)
	default:
	}
}

func TestReportsAreBounded(t *testing.T) {
	var r reports
	for i := range 3 * mostReports {
		if told := r.first(string(rune('a'+i)), 0); told != (i < mostReports) {
			t.Errorf("report %d is told: %v", i, told)
		}
	}
	if !r.first("a", int64(reportEvery+time.Second)) {
		t.Error("nothing is ever told again")
	}
}
