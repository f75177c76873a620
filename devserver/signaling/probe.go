package signaling

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// Probe answers a WebSocket that is opened only to see whether it can be: it makes no
// peer, says nothing, and closes at once with 1000 (RFC 6455 §7.4.1). Every
// origin may ask, as nothing is told.
func (h *Hub) Probe(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: h.cfg.WriteTimeout,
		CheckOrigin:      func(*http.Request) bool { return true },
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil { // Upgrade has answered the request
		return
	}
	defer conn.Close()
	end := time.Now().Add(lingering)
	body := websocket.FormatCloseMessage(closeNormal, "")
	if conn.WriteControl(websocket.CloseMessage, body, end) != nil || conn.SetReadDeadline(end) != nil {
		return
	}
	conn.SetReadLimit(overhead)
	_, _, _ = conn.NextReader() // its close frame, or whatever comes first
}
