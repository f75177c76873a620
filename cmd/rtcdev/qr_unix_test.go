//go:build unix

package main

import (
	"testing"

	"github.com/creack/pty"
)

func TestReadConsole(t *testing.T) {
	keyboard, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	defer terminal.Close()
	english := map[string]string{"LANG": "en_US.UTF-8"}
	for _, c := range []struct {
		size    pty.Winsize
		noColor bool
		env     map[string]string
		want    console
	}{
		{pty.Winsize{Cols: 100, Rows: 40}, false, english, console{columns: 100, lines: 40}},
		{pty.Winsize{}, false, english, console{columns: 80, lines: 24}},
		{pty.Winsize{Cols: 100, Rows: 40}, false, map[string]string{"LANG": "ko_KR.UTF-8"}, console{columns: 100, lines: 40, wide: true}},
		{pty.Winsize{Cols: 100, Rows: 40}, true, english, console{columns: 100, lines: 40, plain: true}},
		{pty.Winsize{Cols: 100, Rows: 40}, false, map[string]string{"LANG": "C.UTF-8", "NO_COLOR": "1"}, console{columns: 100, lines: 40, plain: true}},
		{pty.Winsize{Cols: 100, Rows: 40}, false, map[string]string{"LANG": "C.UTF-8", "TERM": "dumb"}, console{columns: 100, lines: 40, plain: true}},
	} {
		if err := pty.Setsize(keyboard, &c.size); err != nil {
			t.Fatal(err)
		}
		if got := readConsole(terminal, c.noColor, lookupIn(c.env), consoleCodePage()); got != c.want {
			t.Errorf("%+v %v: %+v, want %+v", c.size, c.env, got, c.want)
		}
	}
}
