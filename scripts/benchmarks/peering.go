package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	peersMeaning = "what rtcdev peer is like in a room with Chromium, and what many of them cost in one process"
	peersJoins   = 20
	// goalFirstFrame and goalKeyFrame are in milliseconds, of the 95th percentile.
	goalFirstFrame = 250
	goalKeyFrame   = 100
)

// peering runs the program peers and reports what it has measured.
func peering(ctx context.Context, s settings) (*report, error) {
	joins := peersJoins
	if s.rounds > 0 {
		joins = s.rounds
	}
	args := []string{"-rtcdev", filepath.Join(s.programs, "rtcdev"), "-joins", strconv.Itoa(joins)}
	if s.quick {
		args = append(args, "-joins", "3", "-count", "4", "-duration", "1s")
	}
	if s.duration > 0 {
		args = append(args, "-duration", s.duration.String())
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs, "peers"), args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%q: %w\n%s", args, err, &log)
	}
	var o struct {
		PeerComes []float64 `json:"first_frame_peer_comes_ms"`
		PageComes []float64 `json:"first_frame_page_comes_ms"`
		KeyFrame  []float64 `json:"key_frame_ms"`
		Peers     float64   `json:"peers"`
		CPU       float64   `json:"cpu_seconds_per_peer_second"`
		Bytes     float64   `json:"bytes_per_peer"`
		Frames    float64   `json:"frames_received_per_peer_second"`
	}
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		return nil, fmt.Errorf("reading what peers has measured: %w", err)
	}
	r := newReport("peers", peersMeaning, len(o.PeerComes))
	for _, m := range []struct {
		name  string
		times []float64
		goal  float64
	}{
		{"first frame, the peer comes to the page", o.PeerComes, goalFirstFrame},
		{"first frame, the page comes to the peer", o.PageComes, goalFirstFrame},
		{"key frame that Chromium asked for", o.KeyFrame, goalKeyFrame},
	} {
		if len(m.times) == 0 {
			return nil, fmt.Errorf("peers has not measured: %s", m.name)
		}
		r.add(m.name, "ms", m.times)
		r.bound("  the 95th percentile", "ms", []float64{percentile95(m.times)}, m.goal)
	}
	r.add("peers in one process, in pairs", "", []float64{o.Peers})
	r.add("frames a second that each receives", "", []float64{o.Frames})
	r.add("processor time of one peer in a second", "ms", []float64{o.CPU * 1000})
	r.add("memory of one peer more", "KiB", []float64{o.Bytes / kib})
	return r, nil
}

// percentile95 is the least of the values that 95 % of them do not exceed.
func percentile95(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(0.95*float64(len(sorted))))-1]
}
