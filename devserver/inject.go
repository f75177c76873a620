package devserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/web"
)

// Pages that were written for a public STUN server, or for none, find no way through many
// networks. They get a script, before their own, that has each RTCPeerConnection use this
// server's STUN and TURN, too. It is a script element with an address, not inline, so that
// a Content-Security-Policy which lets the page's own scripts run lets this one run, and
// that the page stays the same for everyone: what is secret is in the script.

// injectPath is where that script is.
const injectPath = "/_rtcdev/inject.js"

// maxHead is how far into a page, in bytes, its first script or its body must begin.
const maxHead = 64 << 10

// injector puts the script into pages.
type injector struct {
	tell func(Event)

	mu   sync.Mutex
	told map[string]bool // pages that were said to go without
}

// newInjector returns nil when pages are left alone.
func newInjector(cfg *Config, tell func(Event)) *injector {
	if cfg.NoInject || cfg.NoTURN && len(cfg.ICEServers) == 0 {
		return nil
	}
	return &injector{tell: tell, told: make(map[string]bool)}
}

// wants tells whether an answer to r that is HTML would be a page of its own: not a piece
// of one that a script asks for. Old browsers, which do not say, ask for pages by name.
func (in *injector) wants(r *http.Request) bool {
	if in == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" { // also when a service worker asks
		return true
	}
	switch r.Header.Get("Sec-Fetch-Dest") { // W3C Fetch Metadata §2.1
	case "document", "iframe", "frame", "embed", "object":
		return true
	case "":
		return strings.Contains(r.Header.Get("Accept"), "text/html")
	}
	return false
}

// vary tells caches what an answer depends on, with the script and without.
func (in *injector) vary(h http.Header) { h.Add("Vary", "Sec-Fetch-Dest, Sec-Fetch-Mode") }

// isPage tells whether an answer with these headers is HTML that can be read, byte by
// byte, as ASCII and more.
func isPage(h http.Header) bool {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	disposition, _, _ := mime.ParseMediaType(h.Get("Content-Disposition"))
	return err == nil && kind == "text/html" && !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "utf-32") &&
		disposition != "attachment"
}

// splice says where in a page the script goes, and with which tag. tag is empty for
// a page that is to be left alone, why it is if that is worth telling.
type splice struct {
	at  int
	tag string
	why string
}

// find looks at the beginning of a page for host, which is all of it if whole. It returns
// false when that does not suffice.
//
// The script goes before the first element that belongs to no head, could run something
// (as a <link> can, when it is loaded) or changes what addresses mean, and so after the
// page's own Content-Security-Policy and <meta name="rtcdev">, if these come first.
func (in *injector) find(page []byte, whole bool, policies []string, host string) (splice, bool) {
	if isUTF16(page) {
		return splice{}, true
	}
	// An app that begins with text may go on like that for long.
	begin := bytes.TrimLeft(bytes.TrimPrefix(page, []byte("\xef\xbb\xbf")), htmlSpace)
	if len(begin) > 2 && begin[0] != '<' { // more than a part of a byte order mark
		return scriptAt(len(page)-len(begin), policies, host), true
	}
	for tag := range startTags(page) {
		if !tag.whole && !whole {
			break
		}
		switch tag.name {
		case "html", "head", "title", "style":
		case "meta":
			if optsOut(page, tag) {
				return splice{}, true
			}
			if policy := metaPolicy(page, tag); policy != "" {
				policies = append(policies, policy)
			}
		default:
			return scriptAt(tag.open, policies, host), true
		}
	}
	if !whole {
		return splice{}, false
	}
	return splice{}, true // without a script it makes no call
}

// scriptAt is the splice at that place, under the page's policies.
func scriptAt(at int, policies []string, host string) splice {
	nonce, ok := scriptNonce(policies, host)
	if !ok {
		return splice{why: "its Content-Security-Policy lets no script of this server run"}
	}
	tag := `<script src="` + injectPath + `"`
	if nonce != "" {
		tag += ` nonce="` + html.EscapeString(nonce) + `"`
	}
	return splice{at: at, tag: tag + "></script>"}
}

// isUTF16 tells a page by its byte order mark (WHATWG Encoding §6).
func isUTF16(page []byte) bool {
	return bytes.HasPrefix(page, []byte("\xfe\xff")) || bytes.HasPrefix(page, []byte("\xff\xfe"))
}

func value(page []byte, tag startTag, name string) string {
	a, _ := tag.attribute(name)
	return html.UnescapeString(string(page[a.from:a.to]))
}

// optsOut tells <meta name="rtcdev" content="no-inject">.
func optsOut(page []byte, tag startTag) bool {
	if !strings.EqualFold(value(page, tag, "name"), "rtcdev") {
		return false
	}
	for word := range strings.FieldsSeq(value(page, tag, "content")) {
		if strings.EqualFold(word, "no-inject") {
			return true
		}
	}
	return false
}

// metaPolicy is the policy in <meta http-equiv="Content-Security-Policy">, or empty.
func metaPolicy(page []byte, tag startTag) string {
	if !strings.EqualFold(strings.TrimSpace(value(page, tag, "http-equiv")), "Content-Security-Policy") {
		return ""
	}
	return value(page, tag, "content")
}

// mostLeft is of how many pages it is told that they were left alone: the app's addresses
// may be without number.
const mostLeft = 10

// left tells, once for a page, that it was left alone.
func (in *injector) left(page, why string) {
	in.mu.Lock()
	news := !in.told[page] && len(in.told) < mostLeft
	in.told[page] = in.told[page] || news
	in.mu.Unlock()
	if news {
		in.tell(PageLeft{Event: "page-left", Page: page, Reason: why})
	}
}

// renewal is after how long a page asks for new credentials, well before the old ones end.
const renewal = 30 * time.Minute

// script answers with the script, and the settings of this page.
func (s *iceServers) script(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	// A page of another site must not learn the credentials by loading it as a script
	// of its own. Browsers that do not say where they are have CORP instead. It gets
	// an empty one, as a page of ours in a sandbox is of another site, too, and has to stay
	// without an error.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		return
	}
	if s.leave { // a page from the browser's cache may ask for it
		return
	}
	function, err := web.Inject()
	var settings []byte
	if err == nil {
		settings, err = json.Marshal(s.configuration(w, r))
	}
	if err != nil {
		http.Error(w, "rtcdev could not write this script: "+err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s(%s, %d);\n", function, settings, renewal.Milliseconds())
}

func isHTML(name string) bool {
	return strings.HasPrefix(contentType(strings.ToLower(path.Ext(name))), "text/html")
}

// injected returns the page as it is to be served instead of what is in body, or nil if
// that is right.
func (s *site) injected(r *http.Request, name string, body io.ReadSeeker) (io.ReadSeeker, error) {
	if !s.injector.wants(r) || !isHTML(name) {
		return nil, nil
	}
	head, err := io.ReadAll(io.LimitReader(body, maxHead))
	if err != nil {
		return nil, err
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	place, ok := s.injector.find(head, int64(len(head)) == size, nil, r.Host)
	if !ok {
		place.why = fmt.Sprintf("no script and no body begins in its first %d KB", maxHead>>10)
	}
	if place.why != "" {
		s.injector.left(r.URL.Path, place.why)
	}
	if place.tag == "" {
		return nil, nil
	}
	return newSpliced(body, size, place), nil
}
