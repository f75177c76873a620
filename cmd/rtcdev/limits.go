package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rtcdev/devserver"
)

// limit is one that --limit can change.
type limit struct {
	name, about string // about has its default
	min, max    int
	count       func(*devserver.Limits) *int           // where a number goes, or
	time        func(*devserver.Limits) *time.Duration // a time
}

// limits are all of them, with the defaults of packages devserver and signaling.
func limits() []limit {
	return []limit{
		{name: "message-bytes", about: "size of one message (64K)", min: 1 << 10, max: 16 << 20, count: func(l *devserver.Limits) *int { return &l.MessageBytes }},
		{name: "messages", about: "from one client, per second, and five times that at once (200)", min: 1, max: 1e9, count: func(l *devserver.Limits) *int { return &l.Messages }},
		{name: "bytes", about: "of them, per second, and five times that at once (1M)", min: 1 << 10, max: 1e9, count: func(l *devserver.Limits) *int { return &l.Bytes }},
		{name: "rooms", about: "in all (1000)", min: 1, max: 1e9, count: func(l *devserver.Limits) *int { return &l.Rooms }},
		{name: "connections", about: "with signaling, in all (4000)", min: 2, max: 1e9, count: func(l *devserver.Limits) *int { return &l.Connections }},
		{name: "connections-per-address", about: "of them, from one address (500)", min: 1, max: 1e9, count: func(l *devserver.Limits) *int { return &l.ConnectionsPerAddress }},
		{name: "queue-bytes", about: "waiting for one client (1M)", min: 64 << 10, max: 1e9, count: func(l *devserver.Limits) *int { return &l.QueueBytes }},
		{name: "header-bytes", about: "of one HTTP request (32K)", min: 4 << 10, max: 1 << 20, count: func(l *devserver.Limits) *int { return &l.HeaderBytes }},
		{name: "handshake", about: "time for TLS, and for a request's header (10s)", time: func(l *devserver.Limits) *time.Duration { return &l.Handshake }},
		{name: "idle", about: "time until a client without a sign of life is cut off (35s)", time: func(l *devserver.Limits) *time.Duration { return &l.Idle }},
	}
}

// limitsHelp is the part of serve's help that lists them.
func limitsHelp() string {
	var b strings.Builder
	b.WriteString("Limits, which --limit NAME=VALUE changes (their defaults):\n")
	for _, l := range limits() {
		fmt.Fprintf(&b, "  %-24s %s\n", l.name, l.about)
	}
	return b.String()
}

// readLimits reads the values of --limit.
func readLimits(settings []string) (l devserver.Limits, err error) {
	for _, setting := range settings {
		name, value, given := strings.Cut(setting, "=")
		err := errors.New("a limit is given as NAME=VALUE, such as messages=500")
		if given {
			err = setLimit(&l, name, value)
		}
		if err != nil {
			return l, usage("rtcdev serve --help lists the limits", "limit %q: %w", setting, err)
		}
	}
	return l, nil
}

func setLimit(l *devserver.Limits, name, value string) error {
	for _, limit := range limits() {
		switch {
		case limit.name != name:
		case limit.count != nil:
			n, err := readCount(value)
			if err != nil {
				return err
			}
			if n < limit.min || n > limit.max {
				return fmt.Errorf("%s goes from %d to %d", name, limit.min, limit.max)
			}
			*limit.count(l) = n
			return nil
		default:
			d, err := time.ParseDuration(value)
			if err != nil || d < time.Second {
				return fmt.Errorf("%q is not a time of a second or more, such as 10s", value)
			}
			*limit.time(l) = d
			return nil
		}
	}
	return fmt.Errorf("there is no limit %q", name)
}

// readCount reads a number, which may end in K or M for as many times 1024 or its square.
func readCount(text string) (int, error) {
	digits, factor := text, 1
	if s, ok := strings.CutSuffix(text, "K"); ok {
		digits, factor = s, 1<<10
	} else if s, ok := strings.CutSuffix(text, "M"); ok {
		digits, factor = s, 1<<20
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number up to 2147483647, such as 500 or 64K", text)
	}
	return int(n) * factor, nil
}
