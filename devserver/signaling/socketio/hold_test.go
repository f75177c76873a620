package socketio

import (
	"fmt"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// An offer waits for the camera of the page that is to answer it.
func TestHeldOffer(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	const media, offer, candidate = `["message","got user media"]`, `["message",{"type":"offer"}]`, `["message",{"type":"candidate"}]`
	a, b := s.pair("r")
	a.send("42" + offer) // from a page that says nothing of cameras: not held back
	b.hears(offer)
	a.send("42" + media)
	a.send("42" + offer)
	a.send("42" + candidate)
	a.send(`427["ready now"]`)
	a.acknowledged("7")
	b.hears(media)
	b.send(`42["ipaddr"]`)
	b.hears(`["ipaddr"`)
	b.send("42" + media)
	b.hears(offer, candidate, `["ready now"]`)
	a.hears(media)

	b.send(`42["create or join","other"]`)
	b.hears(`["created","other"`)
	a.hears(`["message","bye"]`, `["created"`, `["bye"`)
	c := s.dial(4)
	c.send(`42["create or join","r"]`)
	c.hears(`["joined"`, `["ready"`, media) // a said it before c came
	a.hears(`["join"`, `["ready"`)
	a.send("42" + offer)
	a.send(`42["hello"]`)
	a.send(`42["message","bye"]`) // takes back what was held of the call
	c.hears(`["hello"]`, `["message","bye"]`)
	a.send("42" + offer)
	for range maxHeld {
		a.send("42" + candidate)
	}
	c.hears(offer) // there is too much to hold back
}

// Who only watches never says that it has a camera, and gets the offer without; who had
// not answered its browser's question in time gets it once more.
func TestHeldOfferOfAWatcher(t *testing.T) {
	t.Parallel()
	s := start(t, signaling.Config{}, Config{}, false)
	const media, offer, answer = `["message","got user media"]`, `["message",{"type":"offer"}]`, `["message",{"type":"answer"}]`
	left, gone := s.pair("left") // first, so that its time is over before the others'
	left.send("42" + media)
	left.send("42" + offer)
	gone.hears(media)
	gone.send(`42["create or join","elsewhere"]`)
	gone.hears(`["created"`)
	watching := make([]*client, 3)
	calling := make([]*client, len(watching))
	for i := range watching {
		calling[i], watching[i] = s.pair(fmt.Sprint("room ", i))
		calling[i].send("42" + media)
		calling[i].send("42" + offer)
		calling[i].send(`42["message",{"type":"candidate","n":1}]`)
		calling[i].send(`42["message","no part of the call"]`)
		watching[i].hears(media)
	}

	began := time.Now()
	for i, w := range watching {
		w.hears(offer, `["message",{"type":"candidate","n":1}]`, `["message","no part of the call"]`)
		calling[i].send(`42["message",{"type":"candidate","n":2}]`)
		w.hears(`["message",{"type":"candidate","n":2}]`)
	}
	if waited := time.Since(began); waited < holdTime/2 {
		t.Errorf("the offer was held back for %v only", waited)
	}
	watcher, slow, chatting := watching[0], watching[1], watching[2]
	watcher.send("42" + answer)
	watcher.send("42" + media) // a camera after all: no news, as it has answered
	watcher.settled()
	slow.send("42" + media)
	slow.hears(offer, `["message",{"type":"candidate","n":1}]`, `["message",{"type":"candidate","n":2}]`)
	slow.settled()
	chatting.send(`42["message","hello"]`) // is no answer
	chatting.send("42" + media)
	chatting.hears(offer, `["message",{"type":"candidate","n":1}]`, `["message",{"type":"candidate","n":2}]`)
	gone.settled() // what was held was for the room that it has left
}

// What a page says of its camera before it enters a room is said when it does, and an
// offer made while it was alone is asked for again.
func TestTooEarly(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	a, b := s.dial(4), s.dial(4)
	a.send(`42["create or join","r"]`)
	a.hears(`["created"`)
	a.send(`421["message",{"type":"offer"}]`)
	a.acknowledged("1")
	b.send(`42["message","got user media"]`)
	b.send(`42["create or join","r"]`)
	b.hears(`["joined"`, `["ready"`)
	a.hears(`["message","bye"]`, `["created"`, `["join"`, `["ready"`, `["message","got user media"]`)
}

// A page that cannot take what was held back is ended: it does not miss a part of it.
func TestHeldIsTooMuch(t *testing.T) {
	s := start(t, signaling.Config{QueueMessages: 8}, Config{}, false)
	a, b := s.pair("r")
	a.send(`42["message","got user media"]`)
	b.hears(`["message","got user media"]`)
	a.send(`42["message",{"type":"offer"}]`)
	for range 60 {
		a.send(`42["message",{"type":"candidate"}]`)
	}
	a.send(`421["message","last"]`)
	a.acknowledged("1")
	b.send(`42["message","got user media"]`)
	got := a.read()
	if got == `42["message","got user media"]` { // it may be ended before that is passed on
		got = a.read()
	}
	if got != `42["message","bye"]` {
		t.Errorf("got %s, want the word that it is out of the room", got)
	}
}
