package devserver

import (
	"bytes"
	"crypto/sha256"
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
	"sync"
	"time"
)

// site answers requests for files: from a folder, or from the built-in app
// while that folder has no index.html. It looks at every request, so that a
// folder which is filled, or made anew, while the server runs is served at once.
type site struct {
	dir     string // absolute, links resolved
	builtIn fs.FS
	private []string
	// adapters, if set, looks after pages that need a script from the internet.
	adapters *adapters
	// injector, if set, puts a script into pages.
	injector *injector

	mu   sync.Mutex
	root *os.Root // dir: no path or link leads out of it
}

// openSite opens dir; close the site when done.
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
	return &site{dir: abs, root: root, builtIn: builtIn, private: private}, nil
}

func (s *site) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root.Close()
}

// folder returns the folder's files as they are now. A build tool that deletes
// its output folder and makes it anew leaves us with the deleted one.
func (s *site) folder() fs.FS {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := os.Stat(s.dir)
	if err != nil {
		return s.root.FS()
	}
	if held, err := s.root.Stat("."); err != nil || !os.SameFile(held, now) {
		if root, err := os.OpenRoot(s.dir); err == nil {
			s.root.Close()
			s.root = root
		}
	}
	return s.root.FS()
}

// files returns what is being served, and whether that is the built-in app.
func (s *site) files() (files fs.FS, builtIn bool) {
	folder := s.folder()
	if info, err := fs.Stat(folder, "index.html"); err == nil && info.Mode().IsRegular() {
		return folder, false
	}
	return s.builtIn, true
}

func (s *site) usesBuiltIn() bool {
	_, builtIn := s.files()
	return builtIn
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
	} else if err == nil && strings.HasSuffix(r.URL.Path, "/") { // its relative links would lead elsewhere
		f.Close()
		err = fs.ErrNotExist
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

// open opens a file or folder of the site if it may be served.
func (s *site) open(name string) (fs.File, fs.FileInfo, error) {
	files, builtIn := s.files()
	if hiddenName(name) {
		return nil, nil, errHidden
	}
	// Before it is opened: opening a pipe waits for whoever writes to it.
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, nil, errHidden
	}
	if !builtIn && s.leadsToHidden(name) {
		return nil, nil, errHidden
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && info.Mode().IsRegular() {
		err = refuseKey(name, f)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
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
	modified := info.ModTime()
	page, err := s.adapted(r.Context(), name, body)
	if page != nil {
		// Its time is not the file's: it changes with what can be reached.
		body, modified = bytes.NewReader(page), time.Time{}
	}
	if err == nil && s.injector != nil && isHTML(name) {
		s.injector.vary(w.Header())
		var with io.ReadSeeker
		if with, err = s.injected(r, name, body); with != nil {
			body, modified = with, time.Time{}
		}
	}
	var tag string
	if err == nil {
		tag, err = entityTag(body, info)
		if _, is := body.(*spliced); is {
			tag = strings.TrimSuffix(tag, `"`) + `-rtcdev"` // a large one's is by the file's time
		}
	}
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
	http.ServeContent(out, r, "", modified, body) // no name: what has no type yet is told by its content
}

// maxHashed is the size up to which a file's version is told by its content:
// that is right always, and costs a millisecond at most.
const maxHashed = 1 << 20

// entityTag names this version of the file: by content, or for a large one by
// time and size, which is weak (RFC 9110 §8.8.1) because a copy may keep both.
func entityTag(body io.ReadSeeker, info fs.FileInfo) (string, error) {
	if info.Size() > maxHashed {
		return fmt.Sprintf(`W/"%x-%x"`, info.ModTime().UnixNano(), info.Size()), nil
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
