package main

import (
	"bufio"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"

	"rtcdev/scripts/rehearsal"
)

// Nothing is asked on stdin, whether an e-mail address is given or not: what is there stays
// there, in a pipe as on a terminal.
func TestACMEReadsNoStdin(t *testing.T) {
	const fed = "y\nkim@company.kr\nno\n"
	h := newPublicHost(t, rehearsal.Options{})
	without := append([]string{"certs", "acme", publicName}, h.about()[2:]...)
	check := func(o outcome) {
		t.Helper()
		if o.code != 0 || strings.Contains(o.out+o.err, "?") || strings.Contains(strings.ToLower(o.out+o.err), "email") {
			t.Errorf("%d\n%s%s", o.code, o.out, o.err)
		}
		if err := os.RemoveAll(h.folder()); err != nil { // so that there is an account to make again
			t.Fatal(err)
		}
	}

	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := in.WriteString(fed); err != nil {
		t.Fatal(err)
	}
	in.Close()
	check(h.beginWith(out, without...).end())
	if rest, err := io.ReadAll(out); string(rest) != fed || err != nil {
		t.Errorf("left in the pipe are %q, %v", rest, err)
	}

	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	defer tty.Close()
	if _, err := screen.WriteString(fed); err != nil {
		t.Fatal(err)
	}
	check(h.beginWith(tty, without...).end())
	if _, err := screen.WriteString("last\n"); err != nil { // so that the next line is there, if not the first
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(tty).ReadString('\n'); line != "y\n" || err != nil {
		t.Errorf("the next line on the terminal is %q, %v", line, err)
	}

	// And where all three are a terminal, as for a person.
	term := h.startOnTerminal(h.command("rtcdev", without...), nil)
	term.see(`Certificate  .*\.crt`)
	if err := <-term.ended; err != nil || strings.Contains(term.screen.String(), "?") {
		t.Errorf("%v\n%s", err, &term.screen)
	}
	if n := h.ca.Orders(); n != 3 {
		t.Errorf("%d orders", n)
	}
}
