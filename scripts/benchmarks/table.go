package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A table shows results or ratios side by side, in Markdown, so that it can go
// into the README as it is.
type table struct {
	head []string
	rows [][]string
}

// cell is a measured median and, where there is one, what it may be at most or must be
// at least.
func cell(median float64, v *verdict) string {
	text := figure(median)
	if v == nil {
		return text
	}
	met, missed := "≤", ">"
	if v.AtLeast {
		met, missed = "≥", "<"
	}
	if v.Met {
		return fmt.Sprintf("%s (%s %s)", text, met, figure(v.Goal))
	}
	if text == figure(v.Goal) {
		text = fmt.Sprintf("%.3f", median) // missed by little
	}
	return fmt.Sprintf("**%s** (%s %s)", text, missed, figure(v.Goal))
}

// figure is a number with as many digits as mean something.
func figure(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func (r *report) printTables(out io.Writer) error {
	for _, t := range r.Tables {
		if err := t.print(out); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "Medians; a ratio is the median of the rounds' own ratios. Bold: the goal was missed.\n")
	return err
}

func (t table) print(out io.Writer) error {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	rule := make([]string, len(t.head))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width)
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head, rule}, t.rows...) {
		for i, text := range row {
			b.WriteString("| " + text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+1))
		}
		b.WriteString("|\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}
