package socketio

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rtcdev/devserver/signaling"
)

// A page of another origin loads the script as any page loads any: without an Origin.
func TestScriptForEveryPage(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	for _, name := range []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"} {
		for _, header := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}},
			{"Sec-Fetch-Site": {"same-site"}},
			{"Origin": {"https://elsewhere.example"}, "Sec-Fetch-Site": {"cross-site"}}, // type="module"
		} {
			r := httptest.NewRequest("GET", Path+name, nil)
			r.Header = header
			w := httptest.NewRecorder()
			s.door.ServeHTTP(w, r)
			h := w.Header()
			if w.Code != 200 || h.Get("Cross-Origin-Resource-Policy") != "cross-origin" || h.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s with %v: %d %v", name, header, w.Code, h)
			}
		}
		if status, body := s.do("POST", s.url+Path+name, "", nil); status != 405 {
			t.Errorf("POST %s: %d %s", name, status, body)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", Path+"?EIO=4&transport=polling", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if s.door.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("a session for it: %d", w.Code)
	}
}

// The ES module has the same io under the names of the original.
func TestModule(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	nodeModule(t, "ws") // there is Node.js
	_, module := s.do("GET", s.url+Path+"socket.io.esm.min.js", "", nil)
	path := filepath.Join(t.TempDir(), "io.mjs")
	if err := os.WriteFile(path, []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("node", "--input-type=module", "-e", `
		import io, { io as named, connect } from "`+path+`";
		console.log(typeof io, io === named, io === connect, io === globalThis.io);`).CombinedOutput()
	if err != nil || string(out) != "function true true true\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUnknownFiles(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	for _, name := range []string{"socket.io.msgpack.min.js", "socket.io.js.map", "other"} {
		status, body := s.do("GET", s.url+Path+name, "", nil)
		if status != 404 || !strings.HasPrefix(body, "Nothing here: ") || !strings.Contains(body, "socket.io.esm.min.js") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// What is not the door's may be a file of the folder that is served.
func TestWants(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	for address, want := range map[string]bool{
		"/socket.io/?EIO=4&transport=polling":   true,
		"/socket.io?EIO=4&transport=websocket":  true,
		"/socket.io/?transport=polling":         true,
		"/socket.io/?EIO=3":                     true,
		"/socket.io/socket.io.js":               true,
		"/socket.io/socket.io.min.js":           true,
		"/socket.io/socket.io.esm.min.js?v=4":   true,
		"/socket.io/events":                     true,
		"/socket.io/send":                       true,
		"/socket.io/":                           false,
		"/socket.io":                            false,
		"/socket.io/index.html":                 false,
		"/socket.io/index.html?EIO=4":           false,
		"/socket.io/events/":                    false,
		"/other/?EIO=4&transport=polling":       false,
		"/socket.iox?EIO=4&transport=websocket": false,
		"/socket.io.js":                         false,
	} {
		if got := s.door.Wants(httptest.NewRequest("GET", address, nil)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
