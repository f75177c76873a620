package socketio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// Of two offers that cross, one gets through, and it is the same for both.
func TestOffersCross(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	const media, offer, answer = `["message","got user media"]`, `["message",{"type":"offer"}]`, `["message",{"type":"answer"}]`
	for round := range 20 {
		a, b := s.pair(fmt.Sprint("cross ", round))
		pages := []*client{a, b}
		var heard [2]string
		var all sync.WaitGroup
		for _, c := range pages {
			c.send("42" + media)
		}
		for i, c := range pages {
			c.hears(media)
			all.Go(func() {
				c.send("42" + offer)
				c.send(`42["message","after"]`)
				for {
					got := c.read()
					if strings.Contains(got, "after") {
						return
					}
					heard[i] += strings.TrimPrefix(got, "42")
				}
			})
		}
		all.Wait()
		if heard[0]+heard[1] != offer {
			t.Fatalf("round %d: heard %q", round, heard)
		}
		from, to := a, b
		if heard[0] == offer {
			from, to = b, a
		}
		// When that is answered, either may begin anew.
		to.send("42" + answer)
		from.hears(answer)
		for range 2 {
			from, to = to, from
			from.send("42" + offer)
			to.hears(offer)
			to.send("42" + answer)
			from.hears(answer)
		}
	}
}

// Pages that say nothing of cameras have ways of their own with offers that cross.
func TestOffersOfOtherPages(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	const offer = `["message",{"type":"offer"}]`
	a, b := s.pair("r")
	began := time.Now()
	a.send("42" + offer)
	b.send("42" + offer)
	b.hears(offer)
	a.hears(offer)
	b.send("42" + offer)
	a.hears(offer)
	const media = `["message","got user media"]`
	a.send("42" + media)
	b.hears(media)
	a.send(`421` + offer)
	a.acknowledged("1")
	b.send("42" + offer) // whatever is held back from it
	b.hears(offer)
	a.hears(offer)
	if took := time.Since(began); took > holdTime/2 {
		t.Errorf("they were held back for %v", took)
	}
}

// In a larger room each page makes an offer for each: none is left out.
func TestOffersOfAMesh(t *testing.T) {
	s := start(t, signaling.Config{RoomSize: 3}, Config{}, false)
	const media = `["message","got user media"]`
	a, b := s.pair("mesh")
	c := s.dial(4)
	c.send(`42["create or join","mesh"]`)
	c.hears(`["joined"`, `["ready"`)
	for _, p := range []*client{a, b} {
		p.hears(`["join"`)
		p.send("42" + media)
		c.hears(media)
	}
	c.send("42" + media)
	a.hears(media, media)
	b.hears(media, media)
	const one, two = `["message",{"type":"offer","from":"a"}]`, `["message",{"type":"offer","from":"b"}]`
	a.send("42" + one)
	c.hears(one)
	b.hears(one)
	b.send("42" + two)
	c.hears(two)
	a.hears(two)
}
