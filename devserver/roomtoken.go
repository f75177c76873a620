package devserver

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// tokenName is what the secret is called in links and in the cookie that takes its place
// once a page has been opened with it. (PeerJS has a "token" and a "key" of its own.)
const tokenName = "room-token"

// minToken is how long a secret of a person's own choice must be.
const minToken = 8

// checkToken tells whether a secret can stand in a link as it is and is not too short.
func checkToken(token string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	switch {
	case token == "":
		return nil
	case strings.Trim(token, allowed) != "":
		return setting("a room token has letters, digits, - and _ only, so that it can stand in a link")
	case len(token) < minToken:
		return setting("a room token as short as %q is soon guessed: give %d characters or more, or none to have one made", token, minToken)
	}
	return nil
}

// tokenGuard lets in who came by a link with the secret. The cookie makes it hold for
// what a page loads and opens by itself, pages of the codelab and of PeerJS
// included, which know nothing of it.
type tokenGuard struct {
	token   string                     // empty lets everyone in
	free    func(r *http.Request) bool // what everyone gets
	refused http.HandlerFunc
}

func (g tokenGuard) guard(next http.Handler) http.Handler {
	if g.token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		byLink := g.is(r.URL.Query().Get(tokenName))
		switch {
		case byLink:
			// Lax: a link in another app is how people come here (RFC 6265bis §5.6.7).
			http.SetCookie(w, &http.Cookie{
				Name: tokenName, Value: g.token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			})
		case g.hasCookie(r), g.free(r):
		default:
			g.refused(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g tokenGuard) hasCookie(r *http.Request) bool {
	for _, c := range r.CookiesNamed(tokenName) {
		if g.is(c.Value) {
			return true
		}
	}
	return false
}

// is compares in a time that does not tell how much of it is right.
func (g tokenGuard) is(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}

// withoutToken takes the secret, and the browser's session, out of a request that is
// passed on.
func withoutToken(r *http.Request) {
	if query := r.URL.Query(); query.Has(tokenName) {
		query.Del(tokenName)
		r.URL.RawQuery = query.Encode()
	}
	if from, err := url.Parse(r.Header.Get("Referer")); err == nil && from.Query().Has(tokenName) {
		query := from.Query()
		query.Del(tokenName)
		from.RawQuery = query.Encode()
		r.Header.Set("Referer", from.String())
	}
	isOwn := func(c *http.Cookie) bool { return c.Name == tokenName || c.Name == sessionName }
	cookies := r.Cookies()
	if !slices.ContainsFunc(cookies, isOwn) {
		return
	}
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if !isOwn(c) {
			r.AddCookie(c)
		}
	}
}

// withToken adds the secret to a link's query.
func withToken(query, token string) string {
	if token == "" {
		return query
	}
	return query + "&" + tokenName + "=" + url.QueryEscape(token)
}
