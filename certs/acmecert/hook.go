package acmecert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// hook changes the DNS by a program of the person's own: the form of [Config.DNSHook].
type hook struct{ program string }

var _ certmagic.DNSProvider = hook{}

const (
	// hookTime is how long the program may take: some providers are slow.
	hookTime = 3 * time.Minute
	// hookSays is how much of what it prints is kept.
	hookSays = 4 << 10
)

// AppendRecords adds the records, which are TXT.
func (h hook) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, h.each(ctx, "present", zone, records)
}

// DeleteRecords takes them away.
func (h hook) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, h.each(ctx, "cleanup", zone, records)
}

func (h hook) each(ctx context.Context, verb, zone string, records []libdns.Record) error {
	for _, r := range records {
		rr := r.RR()
		name := strings.TrimSuffix(libdns.AbsoluteName(rr.Name, zone), ".")
		if err := h.call(ctx, verb, name, rr.Data); err != nil {
			return err
		}
	}
	return nil
}

func (h hook) call(outer context.Context, verb, name, value string) error {
	ctx, cancel := context.WithTimeout(outer, hookTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, verb, name, value)
	said := &head{limit: hookSays}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 2 * time.Second // for what it has started and left
	endGroup(cmd)
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if outer.Err() != nil {
		return outer.Err()
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it takes longer than %v", hookTime)
	}
	lines := strings.TrimSpace(said.String())
	if last := lines[strings.LastIndexByte(lines, '\n')+1:]; last != "" {
		err = fmt.Errorf("%w: %s", err, oneLine(last))
	}
	return &Problem{Kind: HookFailed, Err: fmt.Errorf("%s %s %s …: %w", h.program, verb, name, err),
		What: "the program for the DNS failed",
		Fix:  fmt.Sprintf("try it by hand: %s present %s test", h.program, name)}
}

// dnsSolver is certmagic's, with words for what goes wrong.
type dnsSolver struct {
	certmagic.DNS01Solver
	program string
	tell    func(Event)
}

var (
	_ acmez.Solver = (*dnsSolver)(nil)
	_ acmez.Waiter = (*dnsSolver)(nil)
)

func newDNSSolver(c *Config, tell func(Event)) *dnsSolver {
	return &dnsSolver{certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{DNSProvider: hook{c.DNSHook}, Resolvers: c.Resolvers}}, c.DNSHook, tell}
}

// Present finds the zone of the name, and has the program put the record there.
func (s *dnsSolver) Present(ctx context.Context, challenge acme.Challenge) error {
	err := s.DNS01Solver.Present(ctx, challenge)
	var known *Problem
	if err == nil || errors.As(err, &known) || ctx.Err() != nil {
		return err
	}
	name := challenge.DNS01TXTRecordName()
	return &Problem{Kind: HookFailed, Err: errors.New(oneLine(err.Error())), What: "the DNS does not say to which zone " + name + " belongs",
		Fix: "see whether the domain is there: dig SOA " + challenge.Identifier.Value + "; or name a DNS server that knows it: --dns-resolver 1.1.1.1"}
}

// Wait waits until the record is seen.
func (s *dnsSolver) Wait(ctx context.Context, challenge acme.Challenge) error {
	s.tell(Event{Kind: Waiting, Name: challenge.Identifier.Value})
	err := s.DNS01Solver.Wait(ctx, challenge)
	if err == nil || ctx.Err() != nil {
		return err
	}
	name := challenge.DNS01TXTRecordName()
	return &Problem{Kind: HookFailed, Err: errors.New(oneLine(err.Error())), What: "the program for the DNS ran, but its record is not seen",
		Fix: fmt.Sprintf("try it by hand: %s present %s test, and then: dig TXT %s; --dns-resolver names the DNS server to look at", s.program, name, name)}
}

// CleanUp has the program take the record away. An order does not fail for what is left.
func (s *dnsSolver) CleanUp(ctx context.Context, challenge acme.Challenge) error {
	err := s.DNS01Solver.CleanUp(ctx, challenge)
	var known *Problem
	if errors.As(err, &known) {
		s.tell(Event{Kind: Leftover, Name: challenge.Identifier.Value, Problem: &Problem{Kind: HookFailed, Err: known.Err,
			What: "the record " + challenge.DNS01TXTRecordName() + " could not be taken away from the DNS", Fix: "take it away by hand: it is of no use any more"}})
	}
	return err
}

// head keeps the beginning of what is written.
type head struct {
	bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, h.limit-h.Len()))])
	return len(p), nil
}
