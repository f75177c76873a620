package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rtcdev/devserver"
)

// limit is what --limit can change: where its value goes, as a count or as a time.
type limit struct {
	name  string
	count func(*devserver.Limits) *int
	time  func(*devserver.Limits) *time.Duration
}

func limits() []limit {
	return []limit{
		{name: "message-bytes", count: func(l *devserver.Limits) *int { return &l.MessageBytes }},
		{name: "messages", count: func(l *devserver.Limits) *int { return &l.Messages }},
		{name: "bytes", count: func(l *devserver.Limits) *int { return &l.Bytes }},
		{name: "rooms", count: func(l *devserver.Limits) *int { return &l.Rooms }},
		{name: "connections", count: func(l *devserver.Limits) *int { return &l.Connections }},
		{name: "connections-per-address", count: func(l *devserver.Limits) *int { return &l.ConnectionsPerAddress }},
		{name: "queue-bytes", count: func(l *devserver.Limits) *int { return &l.QueueBytes }},
		{name: "header-bytes", count: func(l *devserver.Limits) *int { return &l.HeaderBytes }},
		{name: "handshake", time: func(l *devserver.Limits) *time.Duration { return &l.Handshake }},
		{name: "idle", time: func(l *devserver.Limits) *time.Duration { return &l.Idle }},
	}
}

func limitNames() (names []string) {
	for _, l := range limits() {
		names = append(names, l.name)
	}
	return names
}

// readLimits reads the values of --limit.
func readLimits(settings []string) (l devserver.Limits, err error) {
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		if err := setLimit(&l, name, value); err != nil {
			return l, usage("rtcdev serve --help", "--limit %s: %w", setting, err)
		}
	}
	return l, nil
}

func setLimit(l *devserver.Limits, name, value string) error {
	for _, limit := range limits() {
		switch {
		case limit.name != name:
		case limit.count != nil:
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				return fmt.Errorf("%q is not a number above 0, as in --limit %s=1000", value, name)
			}
			*limit.count(l) = n
			return nil
		default:
			d, err := time.ParseDuration(value)
			if err != nil || d < time.Second {
				return fmt.Errorf("%q is not a time of a second or more, as in --limit %s=10s", value, name)
			}
			*limit.time(l) = d
			return nil
		}
	}
	return fmt.Errorf("there is no limit %q; there is: %s", name, strings.Join(limitNames(), ", "))
}
