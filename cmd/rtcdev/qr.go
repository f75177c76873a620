package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	qrcode "github.com/skip2/go-qrcode"
	"golang.org/x/term"
)

// Black and white of the 256-color cube. The first 16 colors are a theme's own,
// and there are light themes whose "black" is light and whose "white" is dark.
const (
	blackInk   = "\x1b[38;5;16m"
	blackPaper = "\x1b[48;5;16m"
	whitePaper = "\x1b[48;5;231m"
	noColors   = "\x1b[0m"
)

// console is what a QR code has to know of the terminal that shows it.
type console struct {
	columns, lines int // of the window, in cells; 0 without a terminal

	// wide means that block characters may take two cells each, or may not be
	// shown at all.
	wide bool

	// plain means that colors are unwanted (NO_COLOR, --no-color) or not
	// understood. Which parts of a code are dark would then be up to the theme,
	// so there is none.
	plain bool
}

// readConsole looks at the terminal behind f, which is the zero console when
// there is none. lookup is os.LookupEnv; codePage is consoleCodePage's.
func readConsole(f *os.File, noColor bool, lookup func(string) (string, bool), codePage uint32) console {
	if !isTerminal(f) {
		return console{}
	}
	columns, lines, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 || lines <= 0 { // a terminal that nobody told its size
		columns, lines = 80, 24
	}
	_, refused := lookup("NO_COLOR") // https://no-color.org
	name, _ := lookup("TERM")
	return console{
		columns: columns,
		lines:   lines,
		wide:    wideBlocks(lookup, codePage),
		plain:   noColor || refused || name == "dumb",
	}
}

// wideBlocks tells whether block characters may be two cells wide, as Korean,
// Japanese and Chinese consoles show them (Unicode Standard Annex 11,
// "ambiguous"), or may not be shown, without UTF-8. A wrong yes makes the code
// larger, a wrong no makes it unreadable: in doubt it is yes.
func wideBlocks(lookup func(string) (string, bool), codePage uint32) bool {
	switch codePage {
	case 932, 936, 949, 950, 1361: // Japanese, Chinese, Korean, Chinese, Korean
		return true
	}
	effective := ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the order of POSIX
		locale, _ := lookup(name)
		locale = strings.ToLower(locale)
		for _, language := range []string{"ko", "ja", "zh"} {
			if strings.HasPrefix(locale, language) {
				return true
			}
		}
		if effective == "" {
			effective = locale
		}
	}
	if effective == "" && codePage != 0 {
		return false // Windows: its consoles are given UTF-16
	}
	return !strings.Contains(effective, "utf-8") && !strings.Contains(effective, "utf8")
}

// qrCode draws the QR code of an address, dark on light whatever the theme,
// with a line end after the last line. Without a terminal it is empty; where no
// code can be drawn it says why and what to type instead.
//
// Print it last: what follows scrolls its upper edge away in a window that is
// just high enough.
func qrCode(address string, c console) string {
	if c.columns == 0 {
		return ""
	}
	instead := "Type this on the phone: " + address + "\n"
	if c.plain {
		return "A QR code needs colors, which are off here. " + instead
	}
	code, err := encodeQR(capitals(address))
	if err != nil {
		return "The address is too long for a QR code. " + instead
	}
	side := len(code)
	columns, lines, draw := side, (side+1)/2, drawHalves
	if c.wide {
		columns, lines, draw = 2*side, side, drawSpaces
	}
	// Some consoles break a line that is exactly full, and the cursor needs a
	// line below.
	if c.columns <= columns || c.lines <= lines {
		return fmt.Sprintf("A QR code needs a window of %d columns and %d lines; this one has %d and %d.\n"+
			"Make it larger, then type p and Enter. Or: %s", columns+1, lines+1, c.columns, c.lines, strings.ToLower(instead[:1])+instead[1:])
	}
	var text strings.Builder
	draw(&text, code)
	return text.String()
}

// encodeQR is the rows of a code with its quiet zone, true where it is dark. It
// corrects as many errors (up to level M) as fit into the smallest code: what
// is larger fits fewer windows.
func encodeQR(text string) ([][]bool, error) {
	low, err := qrcode.New(text, qrcode.Low)
	if err != nil {
		return nil, fmt.Errorf("encoding %d bytes as a QR code: %w", len(text), err)
	}
	if medium, err := qrcode.New(text, qrcode.Medium); err == nil && medium.VersionNumber == low.VersionNumber {
		return medium.Bitmap(), nil
	}
	return low.Bitmap(), nil
}

// capitals writes the scheme and the host in capitals, which mean the same (RFC
// 3986, 6.2.2.1) and take 5.5 bits a character instead of 8 (ISO/IEC 18004,
// alphanumeric mode). All else, and an interface's name, may differ by case.
func capitals(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || strings.Contains(u.Host, "%") {
		return address
	}
	front := u.Scheme + "://" + u.Host
	rest, found := strings.CutPrefix(address, front)
	if !found {
		return address
	}
	return strings.ToUpper(front) + rest
}

// drawHalves puts two modules into a cell, one above the other. Where both are
// dark it is the paper that is black: a full block leaves seams in some fonts.
func drawHalves(text *strings.Builder, code [][]bool) {
	for y := 0; y < len(code); y += 2 {
		text.WriteString(blackInk)
		paper := ""
		for x, upper := range code[y] {
			lower := y+1 < len(code) && code[y+1][x]
			block := " "
			switch {
			case upper && !lower:
				block = "▀"
			case lower && !upper:
				block = "▄"
			}
			paper = setPaper(text, paper, upper && lower)
			text.WriteString(block)
		}
		text.WriteString(noColors + "\n")
	}
}

// drawSpaces makes a module of two cells, in colored spaces only.
func drawSpaces(text *strings.Builder, code [][]bool) {
	for _, row := range code {
		paper := ""
		for _, dark := range row {
			paper = setPaper(text, paper, dark)
			text.WriteString("  ")
		}
		text.WriteString(noColors + "\n")
	}
}

// setPaper changes the background where it has to and returns the new one.
func setPaper(text *strings.Builder, paper string, black bool) string {
	want := whitePaper
	if black {
		want = blackPaper
	}
	if want != paper {
		text.WriteString(want)
	}
	return want
}
