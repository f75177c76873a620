package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// settled is how long servers are left alone before their memory is read. rtcdev
// keeps what it has sent until the next ping is answered, half a minute at most.
const settled = 40 * time.Second

// rtcdev's goals for memory: per idle connection whose pair has exchanged an offer
// and an answer, and for the server before the first one.
const (
	goalSecureKiB = 24
	goalPlainKiB  = 7.5
	goalBaseMiB   = 16
)

// memory opens many connections to each server and leaves them idle. The servers
// are measured side by side, since most of it is waiting; first those with TLS.
func (l *lineup) memory(ctx context.Context, s settings, pairs int, settle time.Duration) (held [2][]outcome, err error) {
	for i, contestants := range [][]contestant{l.secure, l.plain} {
		fmt.Fprintf(s.progress, "memory of %d idle connections, %s: about %v\n", 2*pairs, [...]string{"TLS", "plain"}[i],
			2*settle+time.Duration(pairs)*10*time.Millisecond)
		held[i] = make([]outcome, len(contestants))
		ctx, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		var all sync.WaitGroup
		for k, c := range contestants {
			all.Go(func() {
				o, err := l.measure(ctx, c, []string{"-load", "idle", "-size", "3000",
					"-pairs", strconv.Itoa(pairs), "-settle", settle.String()})
				if err != nil {
					fail(fmt.Errorf("memory of %s: %w", c.name, err))
				}
				held[i][k] = o
			})
		}
		all.Wait()
		if err := context.Cause(ctx); err != nil {
			return held, err
		}
	}
	return held, nil
}

// memory reports what the servers held.
func (r *report) memory(l *lineup, held [2][]outcome) {
	t := table{head: []string{"memory"}}
	for _, c := range l.secure {
		t.head = append(t.head, c.name)
	}
	for i, about := range []struct {
		name string
		goal float64
	}{{"TLS", goalSecureKiB}, {"plain", goalPlainKiB}} {
		joined := []string{"per idle connection, " + about.name + ", KiB"}
		exchanged := []string{"the same after an offer and an answer, KiB"}
		for k, c := range l.secure {
			o := held[i][k]
			name := "memory per connection, " + about.name + ", "
			each := func(bytes float64) []float64 { return []float64{(bytes - o.Base) / float64(o.Count) / kib} }
			r.add(name+"idle: "+c.name, "KiB", each(o.Joined))
			joined = append(joined, cell(r.Results[len(r.Results)-1].Median, nil))
			exchanged = append(exchanged, r.limited(k, name+"after an exchange: "+c.name, "KiB", each(o.Exchanged), about.goal))
		}
		t.rows = append(t.rows, joined, exchanged)
	}
	base := []string{"the server alone, TLS, MiB"}
	for k, c := range l.secure {
		base = append(base, r.limited(k, "memory of the server alone: "+c.name, "MiB", []float64{held[0][k].Base / kib / kib}, goalBaseMiB))
	}
	t.rows = append(t.rows, base)
	r.Tables = append(r.Tables, t)
}

// limited reports a figure that has a goal if it is the first contestant's, and
// returns it for a table.
func (r *report) limited(k int, name, unit string, values []float64, goal float64) string {
	if k > 0 {
		r.add(name, unit, values)
	} else {
		r.bound(name, unit, values, goal)
	}
	last := r.Results[len(r.Results)-1]
	return cell(last.Median, last.Verdict)
}
