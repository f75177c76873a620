package devserver

import (
	"strings"
	"testing"
)

// Folders that are called like a door keep their files, and the doors their clients.
func TestFoldersCalledLikeDoors(t *testing.T) {
	dir := folder(t, map[string]string{
		"index.html": "page", "peerjs/peerjs.min.js": "mine", "peerjs/index.html": "also mine", "socket.io/chat.js": "chat",
	})
	r := run(t, func(c *Config) { c.Dir = dir })
	for path, want := range map[string]string{
		"/peerjs/peerjs.min.js":               "mine",
		"/peerjs/":                            "also mine",
		"/socket.io/chat.js":                  "chat",
		"/socket.io/?EIO=4&transport=polling": `"sid"`,
		"/peerjs/peerjs/id":                   "",
		"/socket.io/socket.io.js":             "io",
	} {
		if path == "/peerjs/peerjs/id" { // an id that no file has
			if got := r.read(path); len(got) != 26 || r.read(path) == got {
				t.Errorf("%s: %.80q, want a new id", path, got)
			}
			continue
		}
		if got := r.read(path); !strings.Contains(got, want) {
			t.Errorf("%s: %.80q, want %q", path, got, want)
		}
	}
}
