package lan

import (
	"context"
	"slices"
	"time"
)

const (
	// pollInterval is how often Watch looks where the system does not tell of a change.
	pollInterval = 2 * time.Second
	// settleTime is how long Watch waits after a change for the rest of it: an interface
	// that comes up is told of several times.
	settleTime = 250 * time.Millisecond
)

// Watch calls changed with the list of [Addresses] at once, and again whenever it has
// become another one: never twice in a row with the same list, and at most some four times
// a second. It returns nil when ctx is done, or an error when the addresses cannot be read
// at all. A failure to read them later is passed over, as the next change reads them anew.
// changed is called in the goroutine that called Watch, one call after the other.
//
// On Linux the kernel tells of changes (rtnetlink), so nothing runs in between. Elsewhere,
// and where that is refused, the addresses are read every two seconds.
func Watch(ctx context.Context, changed func([]Address)) error {
	told, stop := notifications()
	defer stop()
	return watch(ctx, told, Addresses, changed)
}

// notifications gives a value soon after each change of the network, and maybe at other
// times too. stop waits until nothing is left running.
func notifications() (told <-chan struct{}, stop func()) {
	if told, stop, err := changes(); err == nil {
		return told, stop
	}
	return poll(pollInterval)
}

// poll gives a value every interval, for want of a notification.
func poll(interval time.Duration) (told <-chan struct{}, stop func()) {
	ticks, done, ended := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				wake(ticks)
			}
		}
	}()
	return ticks, func() { close(done); <-ended }
}

// wake leaves a value in c unless one is there: one stands for many.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watch is Watch over any source of notifications and any list.
func watch(ctx context.Context, told <-chan struct{}, read func() ([]Address, error), changed func([]Address)) error {
	last, err := read()
	if err != nil {
		return err
	}
	changed(slices.Clone(last))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-told:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settleTime):
		}
		select { // what came in the meantime is read now
		case <-told:
		default:
		}
		now, err := read()
		if err != nil || slices.Equal(now, last) {
			continue
		}
		last = now
		changed(slices.Clone(now))
	}
}
