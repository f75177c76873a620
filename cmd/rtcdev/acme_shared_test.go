//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// waitsForOther is what the log of a process shows that waits for another one's order.
const waitsForOther = "acquiring lock"

// Two processes with one folder make one order: who comes second waits, and takes what there
// is then.
func TestACMETwoProcesses(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	reached, release := h.hold(rehearsal.Finalize)
	s := h.servePublic()
	await(t, "the server's order", reached)
	second := h.begin("-v", "--json")
	second.says(waitsForOther)
	release()
	s.certificate("obtained")
	o := second.end()
	if o.code != 0 || !strings.Contains(o.out, `"name":"`+publicName+`"`) {
		t.Errorf("the second: %d\n%s%s", o.code, o.out, o.err)
	}
	if n := h.ca.Orders(); n != 1 {
		t.Errorf("%d orders", n)
	}
}

// And if both start at once, whoever is first.
func TestACMETwoProcessesAtOnce(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	var all []*began
	for range 3 {
		all = append(all, h.begin())
	}
	s := h.servePublic()
	for {
		e := s.event("certificate")
		if e["state"] == "failed" {
			t.Fatalf("%v", e)
		}
		if e["state"] == "obtained" || e["state"] == "found" {
			break
		}
	}
	for _, b := range all {
		if o := b.end(); o.code != 0 {
			t.Errorf("%d\n%s%s", o.code, o.out, o.err)
		}
	}
	if n := h.ca.Orders(); n != 1 {
		t.Errorf("%d orders", n)
	}
	h.serial(s)
}

// staleLimit is what a process may take that comes after a killed one. To find that a lock of
// certmagic's own is stale takes longer.
const staleLimit = 8 * time.Second

// A process that is killed in the middle of an order leaves no lock that anybody has to wait
// for: neither who waits already nor who comes then.
func TestACMEKilledDuringOrder(t *testing.T) {
	t.Run("serve", func(t *testing.T) {
		h := newPublicHost(t, rehearsal.Options{})
		reached, release := h.hold(rehearsal.Finalize)
		s := h.servePublic()
		await(t, "the server's order", reached)
		second := h.begin("-v")
		second.says(waitsForOther)
		begin := time.Now()
		s.kill()
		if o := second.end(); o.code != 0 {
			t.Errorf("%d\n%s%s", o.code, o.out, o.err)
		}
		if took := time.Since(begin); took > staleLimit {
			t.Errorf("the second took %v", took)
		} else {
			t.Logf("the second took %v", took)
		}
		release()
		h.servePublic().certificate("found")
		if n := h.ca.Orders(); n != 2 {
			t.Errorf("%d orders", n)
		}
	})
	t.Run("certs acme", func(t *testing.T) {
		h := newPublicHost(t, rehearsal.Options{})
		reached, _ := h.hold(rehearsal.Finalize)
		first := h.begin()
		await(t, "the order", reached)
		if err := first.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		first.end()
		begin := time.Now()
		s := h.servePublic()
		s.certificate("obtained")
		if took := time.Since(begin); took > staleLimit {
			t.Errorf("the next start took %v", took)
		} else {
			t.Logf("the next start took %v", took)
		}
		h.serial(s)
	})
}

// endLimit is what an end may take. (stopLimit is for the race detector too, which sleeps for a
// second at the end of other tests' programs.)
const endLimit = 2 * time.Second

// held are the moments of an order at which a person may end it: before there is an account,
// while the authority looks at the port, and while it signs.
func held() []string {
	return []string{rehearsal.Directory, rehearsal.NewAccount, rehearsal.Challenge, rehearsal.Finalize}
}

// A server that is ended during an order ends at once and well, and leaves the port for the
// authority free.
func TestACMEServeEndsDuringOrder(t *testing.T) {
	for _, path := range held() {
		for _, sign := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(fmt.Sprint(path, sign), func(t *testing.T) {
				h := newPublicHost(t, rehearsal.Options{})
				reached, _ := h.hold(path)
				s := h.servePublic()
				await(t, "the order", reached)
				h.wantPort(path == rehearsal.Challenge)
				begin := time.Now()
				if err := s.cmd.Process.Signal(sign); err != nil {
					t.Fatal(err)
				}
				await(t, "the end", s.ended)
				if took := time.Since(begin); took > endLimit {
					t.Errorf("it took %v", took)
				} else {
					t.Logf("it took %v", took)
				}
				if err := s.cmd.Wait(); err != nil {
					t.Errorf("it ended with %v\n%s", err, &s.log)
				}
				for e := range s.events {
					if e["state"] == "failed" {
						t.Errorf("the end is told as a failure: %v", e)
					}
				}
				h.wantPort(false)
			})
		}
	}
}

// The same with certs acme, which says that it was interrupted.
func TestACMEObtainEndsDuringOrder(t *testing.T) {
	for _, path := range held() {
		for _, sign := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(fmt.Sprint(path, sign), func(t *testing.T) {
				h := newPublicHost(t, rehearsal.Options{})
				reached, _ := h.hold(path)
				b := h.begin()
				await(t, "the order", reached)
				h.wantPort(path == rehearsal.Challenge)
				begin := time.Now()
				if err := b.cmd.Process.Signal(sign); err != nil {
					t.Fatal(err)
				}
				o := b.end()
				if took := time.Since(begin); took > endLimit {
					t.Errorf("it took %v", took)
				} else {
					t.Logf("it took %v", took)
				}
				if o.code != exitInterrupted || !strings.Contains(o.err, "rtcdev: interrupted; what was there before is still there\n  next: run the same command again\n") || strings.Count(o.err, "rtcdev: ") != 1 {
					t.Errorf("%d\n%s%s", o.code, o.out, o.err)
				}
				h.wantPort(false)
				if left := h.kept("*.json"); strings.Contains(strings.Join(left, " "), "/faults/") {
					t.Errorf("the end is told as a failure: %q", left)
				}
			})
		}
	}
}

// wantPort checks that the port for the authority is open, or free.
func (h *publicHost) wantPort(isOpen bool) {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port(h.httpPort))
	if err == nil {
		l.Close()
	}
	if (err != nil) != isOpen {
		h.t.Errorf("the port for the authority, open %v: %v", isOpen, err)
	}
}

// A program for the DNS that does not come to an end, nor what it has started, does not keep
// the server from ending.
func TestACMEEndsBesideTheHook(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	hook, began := filepath.Join(h.home, "hook"), filepath.Join(h.home, "began")
	script := "#!/bin/sh\n(sleep 1000 & echo $! >'" + began + ".new'; mv '" + began + ".new' '" + began + "'; wait)\n"
	if err := os.WriteFile(hook, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := h.servePublic("--dns-hook", hook, "--dns-resolver", h.ca.DNSAddr)
	var left int
	eventually(t, "the program runs", func() error {
		text, err := os.ReadFile(began)
		if err == nil {
			_, err = fmt.Sscan(string(text), &left)
		}
		return err
	})
	t.Cleanup(func() { _ = syscall.Kill(left, syscall.SIGKILL) })
	took := s.interrupt()
	t.Logf("it took %v", took)
	if took > endLimit {
		t.Errorf("it took %v", took)
	}
}

// Who is ended while the authority looks at the DNS takes the record away.
func TestACMEEndsWithoutARecord(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	byDNS := []string{"--dns-hook", h.ca.WriteHook(t), "--dns-resolver", h.ca.DNSAddr}
	for i, end := range []func(){
		func() {
			reached, release := h.hold(rehearsal.Challenge)
			defer release()
			s := h.servePublic(byDNS...)
			await(t, "the check is asked for", reached)
			s.interrupt()
		},
		func() {
			reached, release := h.hold(rehearsal.Challenge)
			defer release()
			b := h.begin(byDNS...)
			await(t, "the check is asked for", reached)
			_ = b.cmd.Process.Signal(syscall.SIGTERM) // if it has ended, that is a failure below
			if o := b.end(); o.code != exitInterrupted {
				t.Errorf("%d\n%s", o.code, o.err)
			}
		},
	} {
		end()
		calls := h.ca.HookCalls()
		if len(calls) != 2*i+2 || !strings.HasPrefix(calls[2*i+1], "cleanup ") {
			t.Errorf("the program was called so: %q", calls)
		}
	}
}
