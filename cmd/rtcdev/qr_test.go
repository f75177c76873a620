package main

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// cell is one place of a terminal's grid.
type cell struct {
	char      rune
	ink       color.Gray
	paper     color.Gray
	isColored bool // ink and paper were chosen, not the theme's
}

// theme is the look of a terminal where a program chooses nothing.
type theme struct{ ink, paper color.Gray }

func themes() map[string]theme {
	black, white := color.Gray{0x10}, color.Gray{0xf0}
	return map[string]theme{"light": {black, white}, "dark": {white, black}}
}

// readCells is a terminal that understands what a QR code may use: text, line
// ends, and SGR with colors of the 256-color cube. All else fails the test.
func readCells(t *testing.T, text string, look theme) [][]cell {
	t.Helper()
	pen := cell{ink: look.ink, paper: look.paper}
	var grid [][]cell
	for line := range strings.Lines(text) {
		var row []cell
		line = strings.TrimSuffix(line, "\n")
		for len(line) > 0 {
			if sequence, rest, found := strings.Cut(line, "m"); found && strings.HasPrefix(sequence, "\x1b[") {
				pen = selectGraphic(t, pen, strings.TrimPrefix(sequence, "\x1b["), look)
				line = rest
				continue
			}
			for _, r := range line {
				pen.char = r
				row = append(row, pen)
				line = line[len(string(r)):]
				break
			}
		}
		if pen.isColored {
			t.Fatalf("a line ends in its own colors: %q", line)
		}
		grid = append(grid, row)
	}
	return grid
}

// selectGraphic is Select Graphic Rendition (ECMA-48, 8.3.117).
func selectGraphic(t *testing.T, pen cell, parameters string, look theme) cell {
	t.Helper()
	if parameters == "0" {
		return cell{ink: look.ink, paper: look.paper}
	}
	part := strings.Split(parameters, ";")
	index, err := strconv.Atoi(part[len(part)-1])
	if len(part) != 3 || part[1] != "5" || err != nil || index != 16 && index != 231 {
		t.Fatalf("SGR %q is none that a QR code needs", parameters)
	}
	shade := color.Gray{uint8((index - 16) * 255 / 215)}
	pen.isColored = true
	switch part[0] {
	case "38":
		pen.ink = shade
	case "48":
		pen.paper = shade
	default:
		t.Fatalf("SGR %q is none that a QR code needs", parameters)
	}
	return pen
}

// screenshot shows the cells in a window of the theme's background.
func screenshot(t *testing.T, grid [][]cell, look theme) image.Image {
	t.Helper()
	const width, height, margin = 8, 16, 48
	img := image.NewGray(image.Rect(0, 0, len(grid[0])*width+2*margin, len(grid)*height+2*margin))
	for i := range img.Pix {
		img.Pix[i] = look.paper.Y
	}
	for y, row := range grid {
		if len(row) != len(grid[0]) {
			t.Fatalf("line %d has %d cells, the first %d", y, len(row), len(grid[0]))
		}
		for x, c := range row {
			for i := range width * height {
				shade, upper := c.paper, i/width < height/2
				switch {
				case c.char == '▀' && upper, c.char == '▄' && !upper:
					shade = c.ink
				case !strings.ContainsRune(" ▀▄", c.char):
					t.Fatalf("%q is no part of a QR code", c.char)
				}
				img.SetGray(margin+x*width+i%width, margin+y*height+i/width, shade)
			}
		}
	}
	return img
}

// scan reads the QR code in a picture as a phone does: dark on light only. pure
// is for a picture of the code and nothing else: it is not looked for, but read.
func scan(img image.Image, pure bool) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	hints := make(map[gozxing.DecodeHintType]any)
	if pure {
		hints[gozxing.DecodeHintType_PURE_BARCODE] = true
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

func TestQRCode(t *testing.T) {
	const query = "?room=lobby&token=k3v9xw7q2mznd4ta"
	addresses := map[string]string{ // what a phone reads
		"http://192.168.0.5:8443/":                 "HTTP://192.168.0.5:8443/",
		"http://192.168.100.105:8443/":             "HTTP://192.168.100.105:8443/",
		"http://mac-mini.local:8443/":              "HTTP://MAC-MINI.LOCAL:8443/",
		"http://[fd12:3456:789a:1::c0de]:8443/":    "HTTP://[FD12:3456:789A:1::C0DE]:8443/",
		"http://192.168.0.5:8443/" + query:         "HTTP://192.168.0.5:8443/" + query,
		"http://mac-mini.local:8443/" + query:      "HTTP://MAC-MINI.LOCAL:8443/" + query,
		"http://[fd12:3456::c0de]:8443/" + query:   "HTTP://[FD12:3456::C0DE]:8443/" + query,
		"http://[fe80::1%25wlp2s0]:8443/":          "http://[fe80::1%25wlp2s0]:8443/",
		"http://192.168.0.5:8443/" + longPath(300): "HTTP://192.168.0.5:8443/" + longPath(300),
	}
	for address, want := range addresses {
		for _, wide := range []bool{false, true} {
			for name, look := range themes() {
				t.Run(fmt.Sprintf("%.40s/wide=%v/%s", address, wide, name), func(t *testing.T) {
					text := qrCode(address, console{columns: 1000, lines: 1000, wide: wide})
					if wide && strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
						t.Error("the code for consoles with wide blocks has other characters than ASCII")
					}
					got, err := scan(screenshot(t, readCells(t, text, look), look), false)
					if err != nil || got != want {
						t.Errorf("a phone reads %q, %v; want %q", got, err, want)
					}
				})
			}
		}
	}
}

func longPath(n int) string { return strings.Repeat("a", n) }

// Links of any length are encoded exactly. This test does not look for the code
// in a picture: the reader's search fails on one of thirty of these.
func TestQRCodeLengths(t *testing.T) {
	look := themes()["light"]
	for n := 1; n < 200; n += 3 {
		address := "http://10.0.0.7:8443/?room=" + strings.Repeat("r2-", n)[:n]
		text := qrCode(address, console{columns: 200, lines: 200})
		got, err := scan(screenshot(t, readCells(t, text, look), look), true)
		if want := capitals(address); err != nil || got != want {
			t.Errorf("of %q a phone reads %q, %v", want, got, err)
		}
	}
}

// The usual addresses fit the usual windows: this is what capitals are for.
func TestQRCodeIsSmall(t *testing.T) {
	for _, c := range []struct {
		address        string
		console        console
		columns, lines int
	}{
		{"http://192.168.0.5:8443/", console{columns: 80, lines: 24}, 29, 15},
		{"http://192.168.0.5:8443/", console{columns: 120, lines: 30, wide: true}, 58, 29}, // a new Windows console
		{"http://192.168.100.105:8443/", console{columns: 80, lines: 24}, 33, 17},
		{"http://192.168.100.105:8443/?room=lobby&token=k3v9xw7q2mznd4ta", console{columns: 80, lines: 24}, 41, 21},
		{"http://[fd12:3456:789a:bcde:f012:3456:789a:bcde]:8443/", console{columns: 80, lines: 24}, 37, 19},
	} {
		grid := readCells(t, qrCode(c.address, c.console), themes()["dark"])
		if len(grid) != c.lines || len(grid[0]) != c.columns {
			t.Errorf("%s: %d columns and %d lines, want %d and %d", c.address, len(grid[0]), len(grid), c.columns, c.lines)
		}
	}
}

// Where no code can be drawn there is a line with the address, without escapes.
func TestNoQRCode(t *testing.T) {
	const address = "http://192.168.0.5:8443/"
	if text := qrCode(address, console{}); text != "" {
		t.Errorf("without a terminal there is %q", text)
	}
	for says, c := range map[string]console{
		"needs a window of 30 columns and 16 lines; this one has 29 and 99": {columns: 29, lines: 99},
		"needs a window of 30 columns and 16 lines; this one has 99 and 15": {columns: 99, lines: 15},
		"needs a window of 59 columns and 30 lines; this one has 58 and 99": {columns: 58, lines: 99, wide: true},
		"needs colors": {columns: 99, lines: 99, plain: true},
	} {
		text := qrCode(address, c)
		if !strings.Contains(text, says) || !strings.HasSuffix(text, " "+address+"\n") || strings.Count(text, "\n") > 2 || strings.Contains(text, "\x1b") {
			t.Errorf("%+v: it says %q", c, text)
		}
	}
	if text := qrCode(address+longPath(3000), console{columns: 999, lines: 999}); !strings.Contains(text, "too long") {
		t.Errorf("of 3000 characters it says %.200q", text)
	}
}

func TestWideBlocks(t *testing.T) {
	for _, c := range []struct {
		env      map[string]string
		codePage uint32
		want     bool
	}{
		{env: map[string]string{"LANG": "en_US.UTF-8"}},
		{env: map[string]string{"LANG": "C.utf8"}},
		{env: map[string]string{"LANG": "de_DE.ISO-8859-1", "LC_ALL": "de_DE.UTF-8"}},
		{env: map[string]string{"LANG": "ko_KR.UTF-8"}, want: true},
		{env: map[string]string{"LANG": "ko_KR.UTF-8", "LC_CTYPE": "UTF-8"}, want: true}, // macOS
		{env: map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "ja_JP.UTF-8"}, want: true},
		{env: map[string]string{"LC_CTYPE": "zh_TW.UTF-8"}, want: true},
		{env: map[string]string{"LANG": "C"}, want: true},
		{env: map[string]string{"LANG": "de_DE.ISO-8859-1"}, want: true},
		{want: true},
		{codePage: 437},
		{codePage: 65001},
		{codePage: 949, want: true},
		{codePage: 932, want: true},
		{codePage: 936, want: true},
		{codePage: 949, env: map[string]string{"LANG": "en_US.UTF-8"}, want: true}, // Git Bash on a Korean Windows
	} {
		if got := wideBlocks(lookupIn(c.env), c.codePage); got != c.want {
			t.Errorf("%v, code page %d: %v", c.env, c.codePage, got)
		}
	}
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := env[name]
		return value, found
	}
}

func TestNoConsole(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if c := readConsole(file, false, os.LookupEnv, consoleCodePage()); c != (console{}) {
		t.Errorf("%s is taken for a terminal: %+v", os.DevNull, c)
	}
}
