package signaling

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A probe is answered whatever its origin, makes no peer, and ends at once.
func TestProbe(t *testing.T) {
	h := New(Config{OnEvent: func(e Event) { t.Errorf("it makes an event: %v", e) }})
	s := httptest.NewServer(http.HandlerFunc(h.Probe))
	defer s.Close()
	address := "ws" + strings.TrimPrefix(s.URL, "http")
	conn, _, err := websocket.DefaultDialer.Dial(address, http.Header{"Origin": {"http://192.168.0.5:8443"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"signal","data":1}`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("it ends with %v", err)
	}
	if stats := h.Stats(); stats != (Stats{}) {
		t.Errorf("there is %+v", stats)
	}
	response, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("a plain request gets %d", response.StatusCode)
	}
}
