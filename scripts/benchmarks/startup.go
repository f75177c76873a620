package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	startupRounds  = 25
	startupWarmUp  = 3
	goalAuthority  = 1.5
	goalNone       = 2
	startupPage    = "<!doctype html>\n<title>startup</title>\n<p>The page whose arrival ends the measurement.\n"
	startupMeaning = "from the start of the process to the first trusted HTTPS response, its body read"
)

// startup compares how long servers take to answer: rtcdev with the authority of
// an earlier start, rtcdev that has to make one, and bareserver, with a chain
// and key from that same authority, so that the client's work is the same too.
func startup(ctx context.Context, s settings) (*report, error) {
	rounds := s.rounds
	if rounds < 1 {
		rounds = startupRounds
	}
	dir, err := os.MkdirTemp("", "rtcdev-startup-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := newContest(ctx, s.programs, dir)
	if err != nil {
		return nil, err
	}
	measured := [3][]float64{}
	for round := range startupWarmUp + rounds {
		times, err := c.round(ctx, round)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
		for i, t := range times {
			if round >= startupWarmUp {
				measured[i] = append(measured[i], float64(t)/float64(time.Millisecond))
			}
		}
	}
	r := newReport("startup", startupMeaning, rounds)
	r.add("rtcdev serve, authority there", "ms", measured[0])
	r.add("rtcdev serve, no authority yet", "ms", measured[1])
	r.add("bare net/http server (limit)", "ms", measured[2])
	r.compare("authority there / limit", measured[0], measured[2], goalAuthority)
	r.compare("no authority yet / limit", measured[1], measured[2], goalNone)
	return r, nil
}

// contest is what the servers of all rounds share.
type contest struct {
	dir          string
	rtcdev, bare string   // the programs
	env          []string // an account of its own
	site         string   // the folder served
	made         string   // RTCDEV_HOME with an authority
	chain, key   string   // bareserver's, from that authority
}

// newContest lays out the folder to serve and makes the authority.
func newContest(ctx context.Context, programs, dir string) (*contest, error) {
	programs, err := filepath.Abs(programs)
	if err != nil {
		return nil, err
	}
	c := &contest{
		dir: dir, rtcdev: filepath.Join(programs, "rtcdev"), bare: filepath.Join(programs, "bareserver"),
		env: account(filepath.Join(dir, "home")), site: filepath.Join(dir, "site"), made: filepath.Join(dir, "made"),
		chain: filepath.Join(dir, "pair", "cert.pem"), key: filepath.Join(dir, "pair", "key.pem"),
	}
	for _, d := range []string{c.site, filepath.Join(dir, "home")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(c.site, "index.html"), []byte(startupPage), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.rtcdev, "certs", "localhost", "-o", filepath.Dir(c.chain))
	cmd.Env = append(c.env, "RTCDEV_HOME="+c.made)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making the authority: %w\n%s", err, out)
	}
	return c, nil
}

// round measures each server once.
func (c *contest) round(ctx context.Context, number int) ([3]time.Duration, error) {
	var times [3]time.Duration
	fresh := filepath.Join(c.dir, "fresh-"+strconv.Itoa(number))
	defer os.RemoveAll(fresh)
	for i, start := range []func(port string) server{
		func(port string) server { return c.serve(port, c.made) },
		func(port string) server { return c.serve(port, fresh) },
		func(port string) server {
			return server{[]string{c.bare, "127.0.0.1:" + port, c.site, c.chain, c.key}, c.env, rootFile(c.made)}
		},
	} {
		port, err := freePort()
		if err != nil {
			return times, err
		}
		if times[i], err = start(port).firstResponse(ctx, port, startupPage); err != nil {
			return times, err
		}
	}
	return times, nil
}

func (c *contest) serve(port, home string) server {
	return server{
		args: []string{c.rtcdev, "serve", c.site, "--port", port, "--strict-port", "--trust=no"},
		env:  append(c.env, "RTCDEV_HOME="+home),
		root: rootFile(home),
	}
}

// rootFile is where the authority of a RTCDEV_HOME has its root.
func rootFile(home string) string { return filepath.Join(home, "authority", "root.pem") }

// account is this process's environment with another home, and without settings
// that would change what is measured.
func account(home string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "RTCDEV_") && !strings.HasPrefix(e, "XDG_") && !strings.HasPrefix(e, "HOME=") {
			env = append(env, e)
		}
	}
	return slices.Clip(append(env, "HOME="+home)) // so that each append to it is a copy
}
