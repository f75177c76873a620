package signaling

import (
	"strings"
	"testing"
)

func FuzzRoomName(f *testing.F) {
	for _, s := range []string{"", "lobby", "방", "\xff", "a\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := RoomName(name)
		if err == nil && name != "" && got != name {
			t.Fatalf("%q became %q", name, got)
		}
	})
}

func FuzzReadResume(f *testing.F) {
	for _, s := range [][3]string{{"", "", ""}, {"t", "3", ""}, {"", "", "t.3"}, {"t", "-1", ""}, {"t", "", "u.4"}, {"", "", "."}, {"t", "99999999999999999999", ""}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, token, seen, last string) {
		got, n, err := readResume(token, seen, last)
		switch {
		case err != nil && (got != "" || n != 0):
			t.Fatalf("%q, %d beside %v", got, n, err)
		case err == nil && got != token && !strings.HasPrefix(last, got+"."):
			t.Fatalf("%q and %q became %q", token, last, got)
		case n > 1<<63-1:
			t.Fatalf("seen is %d", n)
		}
	})
}
