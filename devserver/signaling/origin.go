package signaling

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// AllowsOrigin reports whether the page that sends the request may use the doors:
// a page of the request's own host, one of Config.AllowOrigins, or no page at all.
// Which hosts there are is for the caller to guard.
func (h *Hub) AllowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		// An <img> of any page sends none, but then browsers say where the page is
		// from (W3C Fetch Metadata §2.3).
		site := r.Header.Get("Sec-Fetch-Site")
		return site == "" || site == "same-origin" || site == "none"
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return r.TLS == nil || u.Scheme == "https"
	}
	return slices.ContainsFunc(h.cfg.AllowOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origin)
	})
}

// checkOrigin is AllowsOrigin, and reports what it refuses.
func (h *Hub) checkOrigin(r *http.Request) bool {
	if h.AllowsOrigin(r) {
		return true
	}
	h.metrics.refused(ForeignOrigin)
	origin := r.Header.Get("Origin") // empty for an image or script on a page
	h.report(r.RemoteAddr, origin, foreign(origin))
	return false
}

// CORS lets the pages of allowed origins use a door that is no WebSocket (WHATWG
// Fetch §3.2), answers their preflights, and refuses others with 403.
func (h *Hub) CORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		if !h.checkOrigin(r) {
			http.Error(w, "Pages of this origin may not use this server. It lets them in with: rtcdev serve --allow-origin ORIGIN", http.StatusForbidden)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Allow-Credentials", "true")
			// Our own headers keep other sites' pages out; these may come in.
			header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, POST")
			header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			header.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
