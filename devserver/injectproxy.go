package devserver

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// pageKey is the context key, in a request to an app server, of the host that the browser
// has the page from: an answer that is a page gets the script then.
type pageKey struct{}

// ask has the app server answer so that a page can be read: plain or with gzip, and whole.
func (in *injector) ask(from, out *http.Request) {
	if !in.wants(from) {
		return
	}
	accept := "identity"
	if strings.Contains(out.Header.Get("Accept-Encoding"), "gzip") {
		accept = "gzip"
	}
	out.Header.Set("Accept-Encoding", accept)
	for _, name := range []string{"Range", "If-None-Match", "If-Modified-Since"} {
		out.Header.Del(name) // they are about the page as it is there, the browser's copy may lack the script
	}
	*out = *out.WithContext(context.WithValue(out.Context(), pageKey{}, from.Host))
}

// modify is the proxy's ModifyResponse.
func (in *injector) modify(resp *http.Response) error {
	if in == nil || !isPage(resp.Header) {
		return nil
	}
	in.vary(resp.Header)
	host, ok := resp.Request.Context().Value(pageKey{}).(string)
	if !ok || !hasBody(resp.StatusCode) {
		return nil
	}
	if resp.Request.Method == http.MethodHead {
		unsized(resp)
		return nil
	}
	page := resp.Request.URL.Path
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		plain, err := gzip.NewReader(resp.Body)
		if err != nil {
			return fmt.Errorf("unpacking the page %s: %w", page, err)
		}
		resp.Body = &readCloser{plain, resp.Body}
		resp.Header.Del("Content-Encoding")
		unsized(resp)
	default:
		in.left(page, "it is compressed with "+encoding+" although nobody asked for that")
		return nil
	}
	head, place, err := in.readHead(resp, host)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the page %s: %w", page, err)
	}
	if place.why != "" {
		in.left(page, place.why)
	}
	if place.tag != "" {
		unsized(resp)
	}
	rest := resp.Body
	resp.Body = &readCloser{
		io.MultiReader(strings.NewReader(string(head[:place.at])+place.tag+string(head[place.at:])), rest), rest,
	}
	return nil
}

// readHead reads as much of a page as is needed to find where the script goes: what the
// app sends piece by piece is to arrive so.
func (in *injector) readHead(resp *http.Response, host string) ([]byte, splice, error) {
	policies := resp.Header.Values("Content-Security-Policy")
	var head []byte
	piece := make([]byte, 4096)
	for len(head) < maxHead {
		n, err := resp.Body.Read(piece)
		head = append(head, piece[:n]...)
		if place, ok := in.find(head, errors.Is(err, io.EOF), policies, host); ok || err != nil {
			return head, place, err
		}
	}
	return head, splice{why: fmt.Sprintf("no script and no body begins in its first %d KB", maxHead>>10)}, nil
}

// hasBody tells the answers that are pages, whole ones.
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified && status != http.StatusPartialContent
}

// unsized takes out of an answer what is not true of the page with the script.
func unsized(resp *http.Response) {
	resp.ContentLength = -1
	for _, name := range []string{"Content-Length", "Accept-Ranges", "Content-Digest", "Digest"} {
		resp.Header.Del(name)
	}
	// Its bytes are other ones now (RFC 9110 §8.8.1).
	if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		resp.Header.Set("ETag", "W/"+tag)
	}
}

// readCloser reads from one, and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}
