package certs

import "testing"

// TestQuote is the same in package trust: both have to quote alike.
func TestQuote(t *testing.T) {
	for in, want := range map[string]struct{ unix, windows string }{
		"":               {"''", `""`},
		"/home/kim/.pki": {"/home/kim/.pki", "/home/kim/.pki"},
		"sql:/a,b+c":     {"sql:/a,b+c", "sql:/a,b+c"},
		"a b":            {"'a b'", `"a b"`},
		"it's":           {`'it'\''s'`, `"it's"`},
		"홈":              {"'홈'", `"홈"`},
		"$(x)":           {"'$(x)'", `"$(x)"`},
		"~root":          {"'~root'", `"~root"`},
		"a\nb":           {"'a\nb'", "\"a\nb\""},
		`C:\Users\kim`:   {`'C:\Users\kim'`, `C:\Users\kim`},
		`C:\My Files`:    {`'C:\My Files'`, `"C:\My Files"`},
	} {
		for _, goos := range []string{"linux", "darwin"} {
			if got := quote(goos, in); got != want.unix {
				t.Errorf("quote(%s, %q) = %s, want %s", goos, in, got, want.unix)
			}
		}
		if got := quote("windows", in); got != want.windows {
			t.Errorf("quote(windows, %q) = %s, want %s", in, got, want.windows)
		}
	}
}
