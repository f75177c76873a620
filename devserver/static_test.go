package devserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// folder writes files below a new folder and returns it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func testSite(t *testing.T, dir string, private ...string) *site {
	t.Helper()
	s, err := openSite(dir, fstest.MapFS{"index.html": {Data: []byte("built-in")}, "index.js": {Data: []byte("1")}}, private)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

func get(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "https://localhost"+target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body) // a recorder's body cannot fail
	return string(b)
}

func keyFiles(t *testing.T) (pemKey, derKey string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(der)
}

// answer is what a path gets: a status, and then a media type, or the Location
// of a redirect.
type answer struct {
	path   string
	status int
	detail string
}

func check(t *testing.T, s *site, answers []answer) {
	t.Helper()
	for _, want := range answers {
		resp := get(s, "GET", want.path)
		if resp.StatusCode != want.status {
			t.Errorf("%s: status %d, want %d", want.path, resp.StatusCode, want.status)
			continue
		}
		got := resp.Header.Get("Content-Type")
		if want.status == 307 {
			got = resp.Header.Get("Location")
		}
		if want.detail != "" && got != want.detail {
			t.Errorf("%s: %q, want %q", want.path, got, want.detail)
		}
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestStaticServes(t *testing.T) {
	dir := folder(t, map[string]string{
		"index.html": "<p>home", "js/app.mjs": "1", "page.html": "p", "a b/한글.txt": "안녕", "sub/index.html": "sub",
		"empty/x": "x", "data.bin": "\x00\x01", "app.wasm": "w", "clip.webm": "v", ".well-known/a.txt": "wk",
	})
	link(t, "page.html", filepath.Join(dir, "in.html"))
	check(t, testSite(t, dir), []answer{
		{"/", 200, "text/html; charset=utf-8"},
		{"/page.html?x=1", 200, "text/html; charset=utf-8"},
		{"/js/app.mjs", 200, "text/javascript; charset=utf-8"},
		{"/a%20b/%ED%95%9C%EA%B8%80.txt", 200, "text/plain; charset=utf-8"},
		{"/data.bin", 200, "application/octet-stream"},
		{"/app.wasm", 200, "application/wasm"},
		{"/clip.webm", 200, "video/webm"},
		{"/in.html", 200, "text/html; charset=utf-8"},
		{"/.well-known/a.txt", 200, "text/plain; charset=utf-8"},
		{"/sub/", 200, "text/html; charset=utf-8"},
		{"/sub?room=r", 307, "./sub/?room=r"},
		{"/index.html?room=r", 307, "./?room=r"},
		{"/a%20b", 307, "./a%20b/"},
		{"/empty/", 404, ""},
		{"/missing", 404, ""},
		{"/page.html/x", 404, ""},
		{"/page.html/", 404, ""},
		{"/index.html/", 404, ""},
	})
}

func TestStaticStaysInTheFolder(t *testing.T) {
	outside := folder(t, map[string]string{"secret.html": "outside"})
	dir := folder(t, map[string]string{
		"index.html": "home", "page.html": "p", "sub/index.html": "sub",
		".env": "TOKEN=1", ".git/config": "c", "sub/.hidden/x.html": "h",
	})
	for name, to := range map[string]string{
		"out.html": filepath.Join(outside, "secret.html"), "outdir": outside, "env.txt": ".env", "git": ".git",
	} {
		link(t, to, filepath.Join(dir, name))
	}
	check(t, testSite(t, dir), []answer{
		{"/.env", 404, ""}, {"/.git/config", 404, ""}, {"/sub/.hidden/x.html", 404, ""},
		{"/env.txt", 404, ""}, {"/git/config", 404, ""}, {"/git/", 404, ""},
		{"/../" + filepath.Base(outside) + "/secret.html", 404, ""},
		{"/..%2f..%2fetc%2fpasswd", 404, ""}, {"/%2e%2e/%2e%2e/etc/passwd", 404, ""},
		{"/out.html", 404, ""}, {"/outdir/secret.html", 404, ""}, {"/page.html%00.js", 404, ""},
		{"/index.html::$DATA", 404, ""}, {"/sub%5Cindex.html", 404, ""},
	})
}

func TestStaticHidesKeys(t *testing.T) {
	pemKey, derKey := keyFiles(t)
	var utf16 strings.Builder
	for _, c := range pemKey {
		utf16.WriteString(string(c) + "\x00")
	}
	check(t, testSite(t, folder(t, map[string]string{
		"index.html": "home", "lib.js": `const k = "-----BEGIN PRIVATE KEY-----"`, "cert.pem": "-----BEGIN CERTIFICATE-----",
		"server.key": "anything", "id_rsa": pemKey, "both.pem": "cert\n" + pemKey, "bundle.p12": "x", "key.der": derKey,
		"notes.txt": pemKey, "account.json": `{"private_key":"` + strings.ReplaceAll(pemKey, "\n", `\n`) + `"}`,
		"key.html": pemKey, "key.xml": pemKey, "long.pem": strings.Repeat("text\n", 100_000) + pemKey, "wide.txt": utf16.String(),
	})), []answer{
		{"/lib.js", 200, "text/javascript; charset=utf-8"},
		{"/cert.pem", 200, "text/plain; charset=utf-8"},
		{"/server.key", 404, ""}, {"/id_rsa", 404, ""}, {"/both.pem", 404, ""}, {"/bundle.p12", 404, ""},
		{"/key.der", 404, ""}, {"/notes.txt", 404, ""}, {"/account.json", 404, ""}, {"/key.html", 404, ""},
		{"/key.xml", 404, ""}, {"/long.pem", 404, ""}, {"/wide.txt", 404, ""},
	})
}

func TestStaticHidesThePrivateFolder(t *testing.T) {
	dir := folder(t, map[string]string{"index.html": "home", "state/authority/root.pem": "r", "state/free.txt": "free"})
	private := filepath.Join(dir, "state", "authority")
	s := testSite(t, dir, private, filepath.Join(dir, "not there"))
	link(t, "state/authority", filepath.Join(dir, "alias"))
	link(t, "state/authority/root.pem", filepath.Join(dir, "alias.pem"))
	hidden := []answer{
		{"/state/free.txt", 200, ""},
		{"/state/authority/root.pem", 404, ""}, {"/state/authority/", 404, ""}, {"/state/authority", 404, ""},
		{"/alias/root.pem", 404, ""}, {"/alias.pem", 404, ""},
	}
	check(t, s, hidden)
	// Another folder of the same name, made while the server runs, is private too.
	if err := errors.Join(os.RemoveAll(private), os.Mkdir(private, 0o700), os.WriteFile(filepath.Join(private, "root.pem"), []byte("r"), 0o600)); err != nil {
		t.Fatal(err)
	}
	check(t, s, hidden)
}

// A folder that a build tool deletes and makes anew is served as it is now.
func TestFolderMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	var s *site
	for _, text := range []string{"one", "two", "three"} {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "index.html"), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		if s == nil {
			s = testSite(t, dir)
		}
		if got := body(get(s, "GET", "/")); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

func TestStaticConditionalAndRange(t *testing.T) {
	dir := folder(t, map[string]string{"index.html": "0123456789"})
	s := testSite(t, dir)
	first := get(s, "GET", "/")
	tag := first.Header.Get("ETag")
	if tag == "" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("headers %v", first.Header)
	}
	if resp := get(s, "GET", "/", "If-None-Match", tag); resp.StatusCode != 304 || body(resp) != "" {
		t.Errorf("unchanged: status %d", resp.StatusCode)
	}
	if resp := get(s, "GET", "/", "If-Modified-Since", first.Header.Get("Last-Modified")); resp.StatusCode != 304 {
		t.Errorf("not modified since: status %d", resp.StatusCode)
	}
	if resp := get(s, "GET", "/", "Range", "bytes=2-4"); resp.StatusCode != 206 || body(resp) != "234" {
		t.Errorf("range: status %d", resp.StatusCode)
	}
	if resp := get(s, "HEAD", "/"); resp.StatusCode != 200 || resp.ContentLength != 10 {
		t.Errorf("HEAD: status %d, length %d", resp.StatusCode, resp.ContentLength)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("changed, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if resp := get(s, "GET", "/", "If-None-Match", tag); resp.StatusCode != 200 || body(resp) != "changed, and longer" {
		t.Errorf("changed: status %d", resp.StatusCode)
	}
	// The same size and time, as with cp -p: the content counts.
	info, err := os.Stat(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	tag = get(s, "GET", "/").Header.Get("ETag")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "index.html"), []byte("CHANGED, and longer"), 0o644),
		os.Chtimes(filepath.Join(dir, "index.html"), info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if resp := get(s, "GET", "/", "If-None-Match", tag); resp.StatusCode != 200 {
		t.Errorf("changed within its time and size: status %d", resp.StatusCode)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if resp := get(s, method, "/"); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("%s: status %d", method, resp.StatusCode)
		}
	}
}

// The built-in app is there until the folder has an index.html, and the
// folder's other files are not shown meanwhile.
func TestBuiltInUntilThereIsAnIndex(t *testing.T) {
	dir := folder(t, map[string]string{"notes.html": "mine"})
	s := testSite(t, dir)
	resp := get(s, "GET", "/")
	if body(resp) != "built-in" {
		t.Error("the built-in app is not served")
	}
	if tag := resp.Header.Get("ETag"); get(s, "GET", "/", "If-None-Match", tag).StatusCode != 304 {
		t.Errorf("the built-in app is not revalidated by ETag %q", tag)
	}
	if resp := get(s, "GET", "/notes.html"); resp.StatusCode != 404 {
		t.Errorf("the folder's file: status %d", resp.StatusCode)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("own"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := body(get(s, "GET", "/")); got != "own" {
		t.Errorf("after index.html is written: %q", got)
	}
	if got := get(s, "GET", "/index.js").StatusCode; got != 404 {
		t.Errorf("the built-in app's file beside an own index.html: status %d", got)
	}
}

func TestUnreadableFileIsSaid(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := folder(t, map[string]string{"index.html": "x", "locked.html": "x"})
	if err := os.Chmod(filepath.Join(dir, "locked.html"), 0); err != nil {
		t.Fatal(err)
	}
	if resp := get(testSite(t, dir), "GET", "/locked.html"); resp.StatusCode != 403 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func FuzzStaticPath(f *testing.F) {
	for _, s := range []string{"/", "/index.html", "/../x", "/.env", "//", "/sub", "/%00", "/a\\b", "/sub/..", "/./.", "/C:/x"} {
		f.Add(s)
	}
	dir := f.TempDir()
	for name, text := range map[string]string{"index.html": "home", ".env": "SECRET", "server.key": "SECRET"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "outside.html"), []byte("SECRET"), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := openSite(dir, fstest.MapFS{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	defer s.close()
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest("GET", "https://localhost/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "SECRET") {
			t.Fatalf("%q shows a file that must stay hidden", path)
		}
	})
}
