package devserver

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// site answers requests for files: from a folder, or from the built-in app
// while that folder has no index.html. It looks at every request, so that a
// folder filled while the server runs is served at once.
type site struct {
	dir     string   // absolute, links resolved
	root    *os.Root // the same folder: no path or link leads out of it
	builtIn fs.FS
	private []os.FileInfo
}

// openSite opens dir. Those of the private paths that do not exist are left
// out. Close the site's root when done.
func openSite(dir string, builtIn fs.FS, private []string) (*site, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the folder to serve: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("opening the folder to serve: %w", err)
	}
	s := &site{dir: abs, root: root, builtIn: builtIn}
	for _, p := range private {
		if info, err := os.Stat(p); err == nil {
			s.private = append(s.private, info)
		}
	}
	return s, nil
}

// usesBuiltIn reports whether the built-in app is what is being served.
func (s *site) usesBuiltIn() bool {
	info, err := s.root.Stat("index.html")
	return err != nil || !info.Mode().IsRegular()
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Files are only read here (GET, HEAD).", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if name == "" {
		name = "."
	}
	if strings.HasSuffix(r.URL.Path, "/index.html") { // one address for one page
		redirect(w, r, "")
		return
	}
	f, info, err := s.open(name)
	if err == nil && info.IsDir() {
		f.Close()
		if !strings.HasSuffix(r.URL.Path, "/") {
			redirect(w, r, path.Base(r.URL.Path)+"/") // so that the page's relative links work
			return
		}
		name = path.Join(name, "index.html")
		f, info, err = s.open(name)
	}
	if err != nil {
		s.notFound(w, r, err)
		return
	}
	defer f.Close()
	s.serveFile(w, r, name, f, info)
}

// redirect goes to a name relative to the request's folder. The leading "./"
// keeps a name such as "a:b" or "/evil.example" from becoming another host.
func redirect(w http.ResponseWriter, r *http.Request, name string) {
	to := url.URL{Path: "./" + name, RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// errHidden is why a file that exists is not served.
var errHidden = errors.New("not served")

// open opens a file or folder of the site if it may be served.
func (s *site) open(name string) (fs.File, fs.FileInfo, error) {
	if hiddenName(name) {
		return nil, nil, errHidden
	}
	var files fs.FS = s.builtIn
	if !s.usesBuiltIn() {
		files = s.root.FS()
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err = errHidden // a pipe or a device would block or never end
	}
	if err == nil && s.isPrivate(name, info) {
		err = errHidden
	}
	if err == nil && info.Mode().IsRegular() {
		err = refuseKey(name, f, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// hiddenName tells names that are never served: dotfiles (but for .well-known,
// RFC 8615), and what Windows takes for a path or a stream of another file.
func hiddenName(name string) bool {
	if strings.ContainsAny(name, "\\:\x00") {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".well-known" {
			return true
		}
	}
	return false
}

// isPrivate reports whether the file, or a folder on the way to it, is one of
// the private ones, under whatever name: links inside the folder are resolved.
func (s *site) isPrivate(name string, info fs.FileInfo) bool {
	same := func(info fs.FileInfo) bool {
		for _, p := range s.private {
			if os.SameFile(p, info) {
				return true
			}
		}
		return false
	}
	if len(s.private) == 0 || s.usesBuiltIn() {
		return false
	}
	if same(info) {
		return true
	}
	real, err := filepath.EvalSymlinks(filepath.Join(s.dir, filepath.FromSlash(name)))
	if err != nil {
		return true // it was there a moment ago; do not guess
	}
	for ; len(real) > len(s.dir); real = filepath.Dir(real) {
		if info, err := os.Stat(real); err != nil || same(info) {
			return true
		}
	}
	return false
}

// maxKeyFile bounds what is read in search of a key. Real ones, chains and
// bundles included, are a few KiB.
const maxKeyFile = 256 << 10

// refuseKey returns errHidden for private keys: by their usual names, and by
// their content in files that are no page, script, style or medium. The file is
// at its beginning afterwards.
func refuseKey(name string, f fs.File, info fs.FileInfo) error {
	ext := strings.ToLower(path.Ext(name))
	switch ext {
	case ".key", ".p12", ".pfx", ".jks", ".keystore", ".p8", ".ppk":
		return errHidden
	}
	switch contentType(ext) {
	case "", "text/plain; charset=utf-8", "application/json":
	default:
		return nil
	}
	if info.Size() > maxKeyFile {
		return nil
	}
	seeker, ok := f.(io.Seeker)
	if !ok {
		return errHidden
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return err
	}
	if _, err := seeker.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) || isDERKey(data) {
		return errHidden
	}
	return nil
}

func isDERKey(data []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(data); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(data); err == nil {
		return true
	}
	_, err := x509.ParsePKCS1PrivateKey(data)
	return err == nil
}

// serveFile answers with the file, or with 304 or 206 where the request's
// conditions (RFC 9110 §13, §14) say so. "no-cache" lets browsers keep a copy
// but makes them ask each time: a learner who saves a file must see the change.
func (s *site) serveFile(w http.ResponseWriter, r *http.Request, name string, f fs.File, info fs.FileInfo) {
	body, ok := f.(io.ReadSeeker)
	if !ok {
		http.Error(w, "This file cannot be read.", http.StatusInternalServerError)
		return
	}
	tag, err := entityTag(body, info)
	if err != nil {
		http.Error(w, "This file cannot be read.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if t := contentType(strings.ToLower(path.Ext(name))); t != "" {
		h.Set("Content-Type", t)
	}
	out := &patientWriter{ResponseWriter: w, control: http.NewResponseController(w)}
	http.ServeContent(out, r, "", info.ModTime(), body) // no name: what has no type yet is told by its content
}

// entityTag names this version of the file: by time and size, weak because two
// saves within the file system's clock tick look alike; for embedded files,
// which have no time, by content.
func entityTag(body io.ReadSeeker, info fs.FileInfo) (string, error) {
	if t := info.ModTime(); !t.IsZero() {
		return fmt.Sprintf(`W/"%x-%x"`, t.UnixNano(), info.Size()), nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, body); err != nil {
		return "", err
	}
	_, err := body.Seek(0, io.SeekStart)
	return `"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`, err
}

// patience is how long an answer, or the next piece of a file, may take to
// leave. A limit on whole files would cut off a large one on a slow phone; none
// would let a client that reads nothing hold its connection for ever.
const patience = 30 * time.Second

// patientWriter gives every write its own deadline.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	err := p.control.SetWriteDeadline(time.Now().Add(patience))
	if err != nil && !errors.Is(err, http.ErrNotSupported) { // a writer without deadlines needs none
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// notFound says what a learner needs to know. Hidden files look missing.
func (s *site) notFound(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		http.Error(w, "rtcdev may not read this file: check its permissions.", http.StatusForbidden)
	case s.usesBuiltIn() && r.URL.Path != "/":
		http.Error(w, "Not found. This folder has no index.html yet, so the built-in app is served.", http.StatusNotFound)
	default:
		http.Error(w, "Not found.", http.StatusNotFound)
	}
}

// contentType is the media type for a file extension in lower case, or empty.
// The list is fixed because mime.TypeByExtension asks the system, and some
// Windows registries say that .js is text/plain, which browsers refuse to run.
func contentType(ext string) string {
	switch ext {
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".js", ".mjs", ".cjs":
		return "text/javascript; charset=utf-8" // RFC 9239
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".wasm":
		return "application/wasm"
	case ".txt", ".md":
		return "text/plain; charset=utf-8"
	case ".xml":
		return "text/xml; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".avif":
		return "image/avif"
	case ".ico":
		return "image/vnd.microsoft.icon"
	case ".mp4", ".m4v":
		return "video/mp4"
	case ".webm":
		return "video/webm"
	case ".ogv":
		return "video/ogg"
	case ".mp3":
		return "audio/mpeg"
	case ".wav":
		return "audio/wav"
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".m4a":
		return "audio/mp4"
	case ".woff":
		return "font/woff"
	case ".woff2":
		return "font/woff2"
	case ".ttf":
		return "font/ttf"
	case ".pdf":
		return "application/pdf"
	default:
		return ""
	}
}
