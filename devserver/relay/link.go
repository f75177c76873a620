package relay

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// queueTime bounds the queue in front of a rate, as home routers' buffers do...
	queueTime = 300 * time.Millisecond
	// ...but a slow one holds so many full packets.
	queuePackets = 10
	// jitterTime is how long the delay takes at least from one random value to the
	// next. With jitterSlope it takes long enough that later packets do not overtake.
	jitterTime  = 500 * time.Millisecond
	jitterSlope = 10
	// reorderHold is by how much a packet is late that is to be overtaken: more than
	// the 20 ms between two packets of sound.
	reorderHold = 50 * time.Millisecond
)

// link is one direction of a network that may be bad. It decides what becomes of
// packets, and knows no clock.
type link struct {
	mu   sync.Mutex
	is   Impairment
	rand *rand.Rand

	free time.Time // when the rate lets the next packet begin
	last time.Time // when the last packet comes out that was not to be overtaken

	// The delay's deviation turns from one normal variate to the next, as cos and sin
	// from 0 to π/2, over period since knot. The sum of their squares is 1, so that its
	// variance is the same everywhere.
	from, to float64
	knot     time.Time
	period   time.Duration
}

// set changes the network. Packets on their way are not overtaken because of it.
func (l *link) set(i Impairment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rand == nil {
		l.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if i.Jitter != l.is.Jitter {
		l.knot = time.Time{}
	}
	if i.Rate != l.is.Rate {
		l.free = time.Time{} // the old queue, which may be longer than the new one's bound
	}
	l.is, l.period = i, max(jitterTime, jitterSlope*i.Jitter)
}

// plan says when a packet that goes in now comes out, or that it is lost.
func (l *link) plan(now time.Time, size int) (out time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out = now
	if l.is == (Impairment{}) {
		return later(out, l.last), true
	}
	if l.is.Loss > 0 && l.rand.Float64() < l.is.Loss {
		return out, false
	}
	if rate := float64(l.is.Rate); rate > 0 {
		begin := later(now, l.free)
		queue := max(queueTime, seconds(8*queuePackets*1200/rate))
		if begin.Sub(now) > queue {
			return out, false
		}
		out = begin.Add(seconds(8 * float64(size) / rate))
		l.free = out
	}
	out = later(out, out.Add(l.is.Delay+l.deviation(out)))
	if l.is.Reorder > 0 && l.rand.Float64() < l.is.Reorder {
		return out.Add(reorderHold), true
	}
	l.last = later(out, l.last)
	return l.last, true
}

// deviation is by how much the delay differs from its mean at t.
func (l *link) deviation(t time.Time) time.Duration {
	if l.is.Jitter == 0 {
		return 0
	}
	switch since := t.Sub(l.knot); {
	case l.knot.IsZero() || since > 2*l.period:
		l.from, l.to, l.knot = l.rand.NormFloat64(), l.rand.NormFloat64(), t
	case since > l.period:
		l.from, l.to, l.knot = l.to, l.rand.NormFloat64(), l.knot.Add(l.period)
	}
	sin, cos := math.Sincos(math.Pi / 2 * float64(t.Sub(l.knot)) / float64(l.period))
	return time.Duration((l.from*cos + l.to*sin) * float64(l.is.Jitter))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
