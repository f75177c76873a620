package lan

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func one(ip string) []Address {
	return []Address{{IP: netip.MustParseAddr(ip), Interface: "eth0", Kind: Ethernet}}
}

// TestWatchList: the list at once, a change once, the same list never again, a failure to
// read passed over.
func TestWatchList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		now, fail := one("10.0.0.1"), error(nil)
		told := make(chan struct{}, 1)
		var got []string
		ended := make(chan error)
		go func() {
			ended <- watch(ctx, told, func() ([]Address, error) { return now, fail },
				func(list []Address) { got = append(got, line(list[0])) })
		}()
		step := func(list []Address, err error, want int) {
			t.Helper()
			synctest.Wait() // watch has read what was
			now, fail = list, err
			wake(told)
			<-time.After(2 * settleTime)
			synctest.Wait()
			if len(got) != want {
				t.Errorf("told %d times, want %d: %q", len(got), want, got)
			}
		}
		step(one("10.0.0.1"), nil, 1) // the first list, and no change
		step(one("10.0.0.2"), nil, 2)
		step(nil, errors.New("no"), 2)
		step(one("10.0.0.2"), nil, 2)
		step(one("10.0.0.1"), nil, 3)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("watch ended with %v", err)
		}
	})
}

// TestWatchSettles: ten notifications in a row are one reading.
func TestWatchSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told, ended, reads := make(chan struct{}, 1), make(chan error), 0
		go func() {
			ended <- watch(ctx, told, func() ([]Address, error) { reads++; return nil, nil }, func([]Address) {})
		}()
		for range 10 {
			wake(told)
			<-time.After(settleTime / 20)
		}
		<-time.After(10 * settleTime)
		synctest.Wait()
		if reads != 2 {
			t.Errorf("the addresses were read %d times, want 2", reads)
		}
		cancel()
		<-ended
	})
}

func TestWatchCannotRead(t *testing.T) {
	broken := errors.New("broken")
	err := watch(t.Context(), nil, func() ([]Address, error) { return nil, broken }, func([]Address) { t.Error("told of a list") })
	if !errors.Is(err, broken) {
		t.Errorf("watch ended with %v", err)
	}
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, stop := poll(pollInterval)
		begun := time.Now()
		<-told
		<-told
		if took := time.Since(begun); took != 2*pollInterval {
			t.Errorf("two ticks took %v", took)
		}
		stop() // synctest finds what is left running
	})
}

// TestWatchEnds runs the real thing on this machine: it tells of the list of Addresses and
// leaves nothing running, which TestMain sees.
func TestWatchEnds(t *testing.T) {
	want, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := "nothing"
	if err := Watch(ctx, func(list []Address) { got = lines(list); cancel() }); err != nil {
		t.Fatal(err)
	}
	if got != lines(want) {
		t.Errorf("Watch told of\n%s, Addresses of\n%s", got, lines(want))
	}
}
