package main

import (
	"bytes"
	"testing"
)

func TestCells(t *testing.T) {
	for _, test := range []struct {
		median  float64
		verdict *verdict
		want    string
	}{
		{1234.5, nil, "1234"},
		{12.34, nil, "12.3"},
		{0.249, &verdict{Goal: 0.25, Met: true}, "0.25 (≤ 0.25)"},
		{0.31, &verdict{Goal: 0.25, Met: false}, "**0.31** (> 0.25)"},
		{0.2511, &verdict{Goal: 0.25, Met: false}, "**0.251** (> 0.25)"},
		{2.3, &verdict{Goal: 1.5, Met: true, AtLeast: true}, "2.30 (≥ 1.50)"},
		{1.2, &verdict{Goal: 1.5, AtLeast: true}, "**1.20** (< 1.50)"},
	} {
		if got := cell(test.median, test.verdict); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestTableIsMarkdown(t *testing.T) {
	var out bytes.Buffer
	r := &report{Tables: []table{{[]string{"µs", "a"}, [][]string{{"p50", "≤ 1"}}}}}
	if err := r.printTables(&out); err != nil {
		t.Fatal(err)
	}
	const want = "| µs  | a   |\n| --- | --- |\n| p50 | ≤ 1 |\n\n"
	if got := out.String(); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("got\n%s", got)
	}
}
