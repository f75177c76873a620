package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// keyLog are keys of which the input is typed, and what they did.
func keyLog(in io.Reader) (k keys, did *bytes.Buffer, said *bytes.Buffer) {
	did, said = new(bytes.Buffer), new(bytes.Buffer)
	k = keys{in: in, out: said}
	for _, letter := range "opntq" {
		k.list = append(k.list, key{letter, "do " + string(letter), func() { did.WriteRune(letter) }})
	}
	return k, did, said
}

func TestKeys(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const hint = "The keys are o, p, n, t, q, and h for help, each followed by Enter.\n"
	const help = "Type a letter, then Enter:\n  o  do o\n  p  do p\n  n  do n\n  t  do t\n  q  do q\n  h  show this help\n"
	for typed, want := range map[string]struct{ did, said string }{
		"":                              {},
		"\n\r\n  \n":                    {},
		"o\np\nn\nt\nq\n":               {did: "opntq"},
		"O\r\n P \n":                    {did: "op"},
		"ㅐ\nㅔ\nㅜ\nㅅ\nㅂ\n":               {did: "opntq"},
		"h\n":                           {said: help},
		"ㅗ\n?\n":                        {said: help + help},
		"x\ny\n가\n\xff\n\x1b[A\no\n":    {did: "o", said: hint},
		"op\n":                          {said: hint},
		strings.Repeat("o", 1e6) + "\n": {said: hint},
		"o\nq":                          {did: "o"}, // Enter was not pressed
	} {
		k, did, said := keyLog(strings.NewReader(typed))
		k.run(t.Context())
		if did.String() != want.did || said.String() != want.said {
			t.Errorf("%.40q: it did %q and said %q", typed, did, said)
		}
	}
}

// pause is an input that fails between what it has.
type pause struct {
	parts []string
	err   error
}

func (p *pause) Read(b []byte) (int, error) {
	if len(p.parts) == 0 {
		return 0, io.EOF
	}
	part := p.parts[0]
	p.parts = p.parts[1:]
	if part == "" {
		return 0, p.err
	}
	return copy(b, part), nil
}

func TestKeysAfterBackground(t *testing.T) {
	k, did, _ := keyLog(&pause{[]string{"o\n", "", "p\n"}, &fs.PathError{Op: "read", Path: "/dev/tty", Err: syscall.EIO}})
	k.run(t.Context())
	if did.String() != "op" {
		t.Errorf("after the background it did %q", did)
	}
	k, did, _ = keyLog(&pause{[]string{"o\n", "", "p\n"}, io.ErrClosedPipe})
	k.run(t.Context())
	if did.String() != "o" {
		t.Errorf("after a failure of the terminal it did %q", did)
	}
}

// The end of the server ends the keys, though nobody types.
func TestKeysEndWithServer(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	in, keyboard := io.Pipe()
	ctx, quit := context.WithCancelCause(t.Context())
	k, did, _ := keyLog(in)
	byKey := errors.New("q")
	k.list[4].act = func() { quit(byKey) }
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.run(ctx)
	}()
	if _, err := io.WriteString(keyboard, "o\nq\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the keys outlive the server")
	}
	keyboard.Close() // the process would end here, and with it the reader
	if did.String() != "o" || context.Cause(ctx) != byKey {
		t.Errorf("it did %q; %v", did, context.Cause(ctx))
	}
}
