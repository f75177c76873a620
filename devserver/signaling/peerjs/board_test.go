package peerjs

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// ear is a line that remembers what it was told.
type ear struct {
	mu    sync.Mutex
	heard []string
	room  int // for so many frames; 0 for any number
}

func (e *ear) Send(text []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.room > 0 && len(e.heard) >= e.room {
		return false
	}
	e.heard = append(e.heard, string(text))
	return true
}

func (e *ear) Close(*signaling.Error) {}

func (e *ear) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

func newEar(id string) (*client, *ear) {
	e := new(ear)
	return &client{line: e, place: place{"k", id}}, e
}

func (b *board) waitFor(c *client, to, frame string) bool {
	return b.wait(c, place{"k", to}, []byte(`"`+to+`"`), []byte(frame))
}

func wantHeard(t *testing.T, e *ear, want ...string) {
	t.Helper()
	if got := e.all(); !slices.Equal(got, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantEmpty checks that nothing is left behind.
func wantEmpty(t *testing.T, b *board) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) != 0 || len(b.sent) != 0 || len(b.coming) != 0 || b.used != (load{}) {
		t.Errorf("left: waiting %v, sent %v, coming %v, in all %v", b.waiting, b.sent, b.coming, b.used)
	}
}

const open, expireB = `{"type":"OPEN"}`, `{"type":"EXPIRE","src":"b","dst":"a"}`

func roomy() limits { return limits{load{100, 10_000}, load{100, 10_000}, load{100, 10_000}} }

func TestBoardHandsOverInOrder(t *testing.T) {
	b := newBoard(time.Hour, roomy())
	a, _ := newEar("a")
	other, _ := newEar("other")
	b.waitFor(a, "b", "1")
	b.waitFor(other, "b", "x")
	b.waitFor(a, "b", "2")
	b.waitFor(a, "c", "not b's")
	late, heard := newEar("b")
	b.enter(late)
	wantHeard(t, heard, open, "1", "2", "x")
	if b.waitFor(a, "b", "3") {
		t.Error("a message waits for one who is there")
	}
	b.exit(late)
	if !b.waitFor(a, "b", "3") {
		t.Error("a message does not wait for one who has gone")
	}
	for _, id := range []string{"b", "c"} {
		c, _ := newEar(id)
		b.enter(c)
	}
	wantEmpty(t, b)
	wantHeard(t, heard, open, "1", "2", "x")
}

// A line that cannot take all at once gets what it can; who sent the rest is told.
func TestBoardHandsOverWhatFits(t *testing.T) {
	b := newBoard(time.Hour, roomy())
	a, heard := newEar("a")
	b.enter(a)
	for i := range 5 {
		b.waitFor(a, "b", fmt.Sprint(i))
	}
	late, lateHeard := newEar("b")
	lateHeard.room = 4
	b.enter(late)
	wantHeard(t, lateHeard, open, "0", "1", "2")
	wantHeard(t, heard, open, expireB)
	wantEmpty(t, b)
}

// A timer that runs out just when the one it waits for comes has nothing to say.
func TestBoardExpiresTooLate(t *testing.T) {
	b := newBoard(time.Hour, roomy())
	a, heard := newEar("a")
	b.enter(a)
	b.waitFor(a, "b", "1")
	w := b.waiting[place{"k", "b"}][a.place]
	late, _ := newEar("b")
	b.enter(late)
	b.expire(w)
	wantHeard(t, heard, open)
	wantEmpty(t, b)
}

func TestBoardExpires(t *testing.T) {
	b := newBoard(20*time.Millisecond, roomy())
	a, heard := newEar("a")
	b.enter(a)
	b.waitFor(a, "b", "1")
	b.waitFor(a, "b", "2")
	eventually(t, "the sender is told", func() bool { return len(heard.all()) > 1 })
	late, lateHeard := newEar("b")
	b.enter(late)
	wantHeard(t, heard, open, expireB)
	wantHeard(t, lateHeard, open)
	wantEmpty(t, b)

	// Nobody is told of what a sender left behind that has gone, too.
	b.exit(a)
	b.exit(late)
	b.waitFor(a, "b", "3")
	eventually(t, "all is forgotten", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.waiting) == 0
	})
	wantHeard(t, heard, open, expireB)
	wantEmpty(t, b)
}

// Each limit, alone, makes the sender hear EXPIRE once for what it sends to one
// id, and nothing of it arrives.
func TestBoardLimits(t *testing.T) {
	for name, l := range map[string]limits{
		"messages":             {load{4, 10_000}, load{100, 10_000}, load{100, 10_000}},
		"bytes":                {load{100, 50}, load{100, 10_000}, load{100, 10_000}},
		"messages by sender":   {load{100, 10_000}, load{4, 10_000}, load{100, 10_000}},
		"bytes by sender":      {load{100, 10_000}, load{100, 50}, load{100, 10_000}},
		"messages by receiver": {load{100, 10_000}, load{100, 10_000}, load{4, 10_000}},
		"bytes by receiver":    {load{100, 10_000}, load{100, 10_000}, load{100, 50}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(time.Hour, l)
			a, heard := newEar("a")
			b.enter(a)
			for i := range 3 {
				b.waitFor(a, "b", fmt.Sprintf("%015d", i))
			}
			wantHeard(t, heard, open)
			for i := range 5 {
				b.waitFor(a, "b", fmt.Sprintf("%015d", i))
			}
			wantHeard(t, heard, open, expireB)
			late, lateHeard := newEar("b")
			b.enter(late)
			wantHeard(t, lateHeard, open)
			wantEmpty(t, b)
		})
	}
}

// No number of ids can be made up to fill the memory.
func TestBoardIsBounded(t *testing.T) {
	b := newBoard(time.Hour, limits{load{100, 10_000}, load{10, 10_000}, load{100, 10_000}})
	a, heard := newEar("a")
	b.enter(a)
	for i := range 1000 {
		b.waitFor(a, fmt.Sprint("nobody", i), "x")
	}
	if len(b.waiting) != 5 {
		t.Errorf("%d ids are waited for; a sender may fill 10 messages with 5", len(b.waiting))
	}
	if told := len(heard.all()) - 1; told != 995 {
		t.Errorf("the sender was told of %d of the 995 that are given up", told)
	}
	for i := range 1000 {
		c, _ := newEar(fmt.Sprint("sender", i))
		b.waitFor(c, "b", "x")
	}
	if b.used.messages > 100 {
		t.Errorf("%d messages wait", b.used.messages)
	}
	for to := range b.waiting {
		c, _ := newEar(to.id)
		b.enter(c)
	}
	wantEmpty(t, b)
}
