package relay

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"
)

// An independent client, coturn's: pairs of its clients send each other packets, by
// channels and by Send indications, with a password that it makes itself from the
// secret. Its TLS is left out: it loses the second message of a TLS record.
func TestCoturnClient(t *testing.T) {
	if _, err := exec.LookPath("turnutils_uclient"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("turnutils_uclient is missing: apt-get install coturn")
		}
		t.Skip("turnutils_uclient is missing: apt-get install coturn")
	}
	secret := "north of the wall"
	w := start(t, Config{Secret: []byte(secret)})
	nothingLost := regexp.MustCompile(`Total lost packets 0 \(0\.0+%\)`)
	var running sync.WaitGroup // at the same time, because it waits a lot
	for name, run := range map[string]struct {
		at    net.Addr
		flags []string
	}{
		"channels over UDP":         {w.udp, nil},
		"Send indications over UDP": {w.udp, []string{"-s"}},
		"channels over TCP":         {w.tcp, []string{"-t"}},
		"Send indications over TCP": {w.tcp, []string{"-t", "-s"}},
	} {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			host, port, _ := net.SplitHostPort(run.at.String())
			// -y: to each other, -c: without RTCP, 4 clients send 50 packets of 1,000 bytes.
			args := append([]string{"-y", "-c", "-m", "4", "-n", "50", "-l", "1000", "-u", "page", "-W", secret, "-p", port}, run.flags...)
			said, err := exec.CommandContext(ctx, "turnutils_uclient", append(args, host)...).CombinedOutput()
			if err != nil || !nothingLost.Match(said) {
				t.Errorf("%s: %v: %s", name, err, said)
			}
		})
	}
	running.Wait()
	if s := w.Stats(); s.Packets < 4*4*50 {
		t.Errorf("only %+v", s)
	}
}
