package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// backgroundPause is how long the keys wait, while another job has the
// terminal, before they try to read again.
const backgroundPause = time.Second

// key is a letter that does something while the server runs.
type key struct {
	letter rune   // lower case
	does   string // for the help, such as "open the room in a browser"
	act    func()
}

// keys does what a person asks for by typing a letter and Enter. h shows what
// there is. It is for a terminal only.
type keys struct {
	in   io.Reader
	out  io.Writer
	list []key // without h, in the order of the help
}

// listen has keys work until ctx ends, if somebody is at a terminal.
func (a *app) listen(ctx context.Context, list ...key) {
	if a.interactive() {
		go keys{in: a.in, out: a.err, list: list}.run(ctx)
	}
}

// run acts on what is typed until ctx or the input ends. The end of the input
// (Ctrl-D) ends the keys, never the server. Actions run one after the other.
//
// A goroutine that reads may outlive run: reading a terminal cannot be
// cancelled, as making it nonblocking would do so for the shell that shares it.
// It holds no more than its buffer, takes no line once ctx has ended, and ends
// with the process, which waits for no goroutine.
func (k keys) run(ctx context.Context) {
	keepInBackground()
	typed := make(chan string)
	go func() {
		defer close(typed)
		readLines(ctx, k.in, typed)
	}()
	hinted := false
	for {
		select {
		case <-ctx.Done():
			return
		case line, open := <-typed:
			if !open || ctx.Err() != nil {
				return
			}
			if !k.press(line) && !hinted {
				hinted = true
				fmt.Fprintln(k.out, k.hint())
			}
		}
	}
}

// press does what a line asks for and tells whether it asked for anything we
// have. An empty line, which sets apart what was printed, asks for nothing.
func (k keys) press(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" {
		return true
	}
	letter, size := utf8.DecodeRuneInString(line)
	if size != len(line) {
		return false
	}
	letter = latin(unicode.ToLower(letter))
	if letter == 'h' || letter == '?' {
		fmt.Fprint(k.out, k.help())
		return true
	}
	for _, key := range k.list {
		if key.letter == letter {
			key.act()
			return true
		}
	}
	return false
}

// latin is the letter of the key that was pressed while a Korean keyboard (KS X
// 5002) was set to Hangul, for the keys that serve has.
func latin(letter rune) rune {
	switch letter {
	case 'ㅗ':
		return 'h'
	case 'ㅑ':
		return 'i'
	case 'ㅜ':
		return 'n'
	case 'ㅐ':
		return 'o'
	case 'ㅔ':
		return 'p'
	case 'ㅂ':
		return 'q'
	case 'ㅅ':
		return 't'
	}
	return letter
}

func (k keys) help() string {
	var text strings.Builder
	fmt.Fprintln(&text, "Type a letter, then Enter:")
	for _, key := range k.list {
		fmt.Fprintf(&text, "  %c  %s\n", key.letter, key.does)
	}
	fmt.Fprintln(&text, "  h  show this help")
	return text.String()
}

// hint names the letters, for who typed another one.
func (k keys) hint() string {
	var letters strings.Builder
	for _, key := range k.list {
		fmt.Fprintf(&letters, "%c, ", key.letter)
	}
	return fmt.Sprintf("The keys are %sand h for help, each followed by Enter.", letters.String())
}

// readLines sends the lines of in until it or ctx ends. In the background a
// terminal answers EIO (see keepInBackground): the job may come back, so it is
// asked again.
func readLines(ctx context.Context, in io.Reader, lines chan<- string) {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		switch {
		case errors.Is(err, syscall.EIO):
			select {
			case <-time.After(backgroundPause):
				continue
			case <-ctx.Done():
				return
			}
		case err != nil:
			return
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
	}
}
