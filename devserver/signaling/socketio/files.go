package socketio

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// moduleTail makes an ES module of the script, with the names of the original's.
const moduleTail = `
const { io } = globalThis;
export { io, io as default, io as connect };
`

// isScript tells the names below [Path] under which the original has its client.
func isScript(name string) bool {
	return name == "socket.io.js" || name == "socket.io.min.js" || isModule(name)
}

func isModule(name string) bool { return name == "socket.io.esm.min.js" }

// rest is the path below [Path], whose last slash may be missing.
func rest(r *http.Request) (name string, below bool) {
	name, below = strings.CutPrefix(r.URL.Path, strings.TrimSuffix(Path, "/"))
	if !below || name != "" && name[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(name, "/"), true
}

// Wants reports whether a request is for the door without a doubt: from a client of
// socket.io, or for its script. Others below [Path] may be for files of somebody who
// has a folder of that name.
func (d *Door) Wants(r *http.Request) bool {
	name, below := rest(r)
	if !below {
		return false
	}
	if name == "" {
		query := r.URL.Query()
		return query.Has("EIO") || query.Has("transport")
	}
	return isScript(name) || name == "events" || name == "send"
}

// serveScript serves our own client under the names of the original. It is for every
// page, as a page loads a script of another origin without saying who it is; the
// door is not.
func (d *Door) serveScript(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "A script is asked for with GET.", http.StatusMethodNotAllowed)
		return
	}
	body, etag := clientScript, d.etag
	if isModule(name) {
		body, etag = bytes.Join([][]byte{clientScript, []byte(moduleTail)}, nil), `"m`+etag[1:]
	}
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", etag)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*") // type="module" asks for that
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
