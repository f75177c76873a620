package devserver

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Pages written in 2015–2020 load webrtc-adapter from the internet. Where that is
// out of reach, a call between two machines on one table would fail for want of a
// script that often lies in the folder already: then that copy takes its place.

const (
	// adapterCopy is where npm puts webrtc-adapter's script for browsers.
	adapterCopy = "node_modules/webrtc-adapter/out/adapter.js"
	// reachTime is how long a page waits for an answer from the internet.
	reachTime = time.Second
	// reachAgain is how long an answer, or its absence, counts.
	reachAgain = time.Minute
	// maxPage is the size in bytes up to which a page is looked through.
	maxPage = 1 << 20
)

// adapterAddress is where the project publishes the script: the latest version,
// or a certain one.
var adapterAddress = regexp.MustCompile(`(?i)^(https?:)?//webrtc\.github\.io/adapter/adapter-(latest|\d[\d.]*)\.js([?#].*)?$`)

// adapters puts the folder's copy of webrtc-adapter into pages that would load it
// from where this machine cannot reach.
type adapters struct {
	reach func(ctx context.Context, address string) error // nil if the script can be had
	now   func() time.Time
	tell  func(Unreached)

	mu    sync.Mutex
	known map[string]*reached // by address
	told  map[Unreached]bool
}

// reached is what is known of an address.
type reached struct {
	mu  sync.Mutex // held while somebody finds out
	at  time.Time  // when that was
	err error
}

func newAdapters(tell func(Unreached)) *adapters {
	return &adapters{
		reach: reachScript, now: time.Now, tell: tell,
		known: make(map[string]*reached), told: make(map[Unreached]bool),
	}
}

// adapted returns the page as it is to be served instead of what is in the file,
// or nil if that is right. The file is at its beginning afterwards.
func (s *site) adapted(ctx context.Context, name string, file io.ReadSeeker) ([]byte, error) {
	if s.adapters == nil || !isHTML(name) {
		return nil, nil
	}
	page, err := io.ReadAll(io.LimitReader(file, maxPage+1))
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil || len(page) > maxPage {
		return nil, err
	}
	var out []byte
	done := 0 // of page
	for _, tag := range scriptTags(page) {
		if !adapterAddress.MatchString(tag.src) {
			continue
		}
		if replacement := s.replacement(ctx, name, tag); replacement != "" {
			out = append(append(out, page[done:tag.start]...), replacement...)
			done = tag.end
		}
	}
	if done == 0 {
		return nil, nil
	}
	return append(out, page[done:]...), nil
}

// replacement is what to write in the page for the tag's address; empty to leave
// it. It tells what the person has to know.
func (s *site) replacement(ctx context.Context, name string, tag scriptTag) string {
	err := s.adapters.find(ctx, tag.src)
	if err == nil {
		return ""
	}
	u := Unreached{
		Event: "unreached", Page: pageAddress(name), Address: tag.src, Reason: whyUnreached(err),
		Copy: s.findAdapter(name), Integrity: tag.integrity,
	}
	s.adapters.say(u)
	if u.Copy == "" || u.Integrity {
		return ""
	}
	address := url.URL{Path: "/" + u.Copy}
	return html.EscapeString(address.EscapedPath())
}

// pageAddress is the path at which the page of that file is served.
func pageAddress(name string) string {
	dir, file := path.Split(name)
	if file == "index.html" {
		file = ""
	}
	return "/" + dir + file
}

// findAdapter looks for the copy beside the page and in the folders above it, as
// Node does, but not above the folder that is served.
func (s *site) findAdapter(page string) string {
	for dir := path.Dir(page); ; dir = path.Dir(dir) {
		name := path.Join(dir, adapterCopy)
		if f, info, err := s.open(name); err == nil {
			f.Close()
			if info.Mode().IsRegular() {
				return name
			}
		}
		if dir == "." {
			return ""
		}
	}
}

// find returns nil if a page can have the script at the address. Whoever asks while
// somebody finds out waits for the same answer.
func (a *adapters) find(ctx context.Context, address string) error {
	if strings.HasPrefix(address, "//") {
		address = "https:" + address
	}
	if strings.HasPrefix(strings.ToLower(address), "http:") {
		return errMixedContent
	}
	a.mu.Lock()
	r := a.known[address]
	if r == nil {
		r = &reached{}
		a.known[address] = r
	}
	a.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := a.now(); r.at.IsZero() || now.Sub(r.at) >= reachAgain {
		// Also for the pages after this one: not over when its reader goes away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachTime)
		defer cancel()
		r.err, r.at = a.reach(ctx, address), a.now()
	}
	return r.err
}

// say tells what has not been told yet, of this page and address.
func (a *adapters) say(u Unreached) {
	key := u
	key.Reason = "" // offline has several, which come and go
	a.mu.Lock()
	news := !a.told[key]
	a.told[key] = true
	a.mu.Unlock()
	if news {
		u.Time = a.now()
		a.tell(u)
	}
}

// reachScript asks for the script's header, through the proxy of the environment if
// there is one.
func reachScript(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return fmt.Errorf("reading the address %s: %w", address, err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", address, err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for %s: %w", address, statusError(resp.Status))
	}
	return nil
}

// errMixedContent is what a browser has against the script's address: pages are served
// over https here, and such a page loads no script over http, with internet or without
// (W3C Mixed Content §4.4).
var errMixedContent = errors.New("a page served over https may load no script over http")

// statusError is an answer that is no script.
type statusError string

func (e statusError) Error() string { return "the answer is " + string(e) }

// whyUnreached says it in a few words.
func whyUnreached(err error) string {
	var lookup *net.DNSError
	var status statusError
	var inner *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within " + reachTime.String()
	case errors.As(err, &lookup):
		return "the name " + lookup.Name + " cannot be looked up"
	case errors.As(err, &status):
		return status.Error()
	case errors.As(err, &inner):
		return inner.Err.Error()
	}
	return err.Error()
}
