package acmecert

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
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

func (h hook) call(ctx context.Context, verb, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, verb, name, value)
	said := &head{limit: hookSays}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 2 * time.Second // for what it has started and left
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	lines := strings.TrimSpace(said.String())
	last := lines[strings.LastIndexByte(lines, '\n')+1:]
	if last != "" {
		err = fmt.Errorf("%w: %s", err, oneLine(last))
	}
	return &Problem{Kind: HookFailed, Err: err,
		What: fmt.Sprintf("the program for the DNS failed (%s %s %s …)", h.program, verb, name),
		Fix:  fmt.Sprintf("try it by hand: %s present _acme-challenge.%s test", h.program, strings.TrimPrefix(name, "_acme-challenge."))}
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
