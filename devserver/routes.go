package devserver

import (
	"encoding/json"
	"errors"
	"net/http"

	"rtcdev/devserver/signaling"
	"rtcdev/devserver/signaling/peerjs"
	"rtcdev/devserver/signaling/socketio"
)

// routes puts the server's addresses together.
func routes(cfg *Config, pages http.Handler, hub *signaling.Hub, sockets *socketio.Door, setUp *setUp, ice *iceServers, devices *devices) http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /_rtcdev/signal", func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			hub.Probe(w, r)
		} else {
			hub.ServeHTTP(w, r)
		}
	})
	events := hub.Events()
	own.Handle("GET /_rtcdev/signal/events", events)
	own.Handle("OPTIONS /_rtcdev/signal/events", events)
	own.Handle("POST /_rtcdev/signal/send", events)
	own.Handle("OPTIONS /_rtcdev/signal/send", events)
	own.HandleFunc("GET /_rtcdev/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := errors.Join(hub.WriteMetrics(w), ice.writeMetrics(w)); err != nil {
			cfg.Log.Debug("writing the metrics", "error", err)
		}
	})
	own.HandleFunc("GET /_rtcdev/health", func(w http.ResponseWriter, _ *http.Request) {
		s := hub.Stats()
		var certificates any
		if cfg.CertificateHealth != nil {
			certificates = cfg.CertificateHealth()
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(struct {
			Status       string `json:"status"`
			Version      string `json:"version"`
			Rooms        int    `json:"rooms"`
			Peers        int    `json:"peers"`
			Certificates any    `json:"certificates,omitempty"`
		}{"ok", cfg.Version, s.Rooms, s.Peers, certificates})
	})
	own.HandleFunc("GET /_rtcdev/beacon", beacon)
	own.HandleFunc("GET /_rtcdev/ice", ice.serve)
	own.HandleFunc("GET "+injectPath, ice.script)
	own.HandleFunc("GET /_rtcdev/impair", ice.bad.serve)
	own.HandleFunc("POST /_rtcdev/impair", ice.bad.serve)
	for path, file := range setUp.files {
		own.HandleFunc("GET "+path, file)
	}
	if len(setUp.files) > 0 {
		own.HandleFunc("GET /_rtcdev/trust", setUp.pages.SetUp)
	}
	own.HandleFunc("/_rtcdev/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Nothing here: addresses below /_rtcdev/ belong to rtcdev.", http.StatusNotFound)
	})
	mux := http.NewServeMux()
	mux.Handle("/_rtcdev/", secure(own))
	if cfg.Proxy == "" { // an app server may have such addresses of its own
		peers := peerjs.New(hub, peerjs.Config{Peers: cfg.Limits.Connections, Discovery: cfg.Discovery})
		pages = otherDoors(sockets, peers, pages)
	}
	mux.Handle("/", pages)
	return tokenGuard{cfg.RoomToken, isFree, devices.uninvited(setUp.pages.NeedSecret)}.guard(devices.sockets(mux))
}

// otherDoors lets clients made for other servers in, and leaves all else to the pages: a
// folder may well have one of its own called peerjs.
func otherDoors(sockets *socketio.Door, peers *peerjs.Door, pages http.Handler) http.Handler {
	toSockets, toPeers := secure(sockets), secure(peers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case sockets.Wants(r):
			toSockets.ServeHTTP(w, r)
		case peers.Wants(r):
			toPeers.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

// noPages answers in place of pages where there are none to serve.
func noPages(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "This server carries signaling only, at /_rtcdev/signal, /socket.io/ and /peerjs/. It has no pages.", http.StatusNotFound)
}

func download(contentType, name string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		w.Header().Set("Cache-Control", "no-store")
		w.Write(body)
	}
}

// secure sets, on our own answers, the headers that keep other sites out without getting in the way
// of a page that uses a camera. There is no Strict-Transport-Security: it would
// also break http:// on every other port of localhost, for months.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // room links stay here
		h.Set("Content-Security-Policy", "frame-ancestors 'self'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)")
		next.ServeHTTP(w, r)
	})
}
