package signaling

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// listener is a peer with an event stream.
type listener struct {
	t      *testing.T
	resp   *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
	id     string // the peer's
	token  string
	last   string // Last-Event-ID
	sent   int
	url    string
}

// listen opens an event stream, with a Last-Event-ID unless it is empty.
func (s *server) listen(query url.Values, last string) *listener {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/events?"+query.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	transport := &http.Transport{}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); resp.Body.Close(); transport.CloseIdleConnections() })
	return &listener{t: s.t, resp: resp, lines: bufio.NewReader(resp.Body), cancel: cancel, url: "http://" + s.addr + "/send"}
}

// listenIn joins a room.
func (s *server) listenIn(room string) *listener {
	s.t.Helper()
	l := s.listen(url.Values{"room": {room}}, "")
	if got := l.resp.Header.Get("Content-Type"); l.resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		s.t.Fatalf("%s, %s", l.resp.Status, got)
	}
	m := l.next()
	if m.Type != "welcome" {
		s.t.Fatalf("got %+v, want a welcome", m)
	}
	l.id, l.token = m.ID, m.Resume
	l.wantID(0)
	return l
}

// listenAgain comes back as l, by Last-Event-ID as a browser does.
func (s *server) listenAgain(l *listener) *listener {
	s.t.Helper()
	again := s.listen(url.Values{"room": {"whatever"}}, l.last)
	m := again.next()
	if m.Type != "resumed" || m.ID != l.id || m.Seen != uint64(l.sent) {
		s.t.Fatalf("got %+v, want resumed %s, seen %d", m, l.id, l.sent)
	}
	again.id, again.token, again.sent = m.ID, m.Resume, l.sent
	return again
}

func (l *listener) read() (m serverMessage, err error) {
	var data []string
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return m, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			l.last = value
		case "data":
			data = append(data, value)
		case "":
			if data != nil {
				return m, json.Unmarshal([]byte(strings.Join(data, "\n")), &m)
			}
		}
	}
}

func (l *listener) next() serverMessage {
	l.t.Helper()
	m, err := l.read()
	if err != nil {
		l.t.Fatalf("reading events: %v", err)
	}
	return m
}

func (l *listener) want(want serverMessage) {
	l.t.Helper()
	if got := l.next(); !reflect.DeepEqual(got, want) {
		l.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func (l *listener) wantID(n int) {
	l.t.Helper()
	if want := fmt.Sprintf("%s.%d", l.token, n); l.last != want {
		l.t.Errorf("the event's id is %q, want %q", l.last, want)
	}
}

// wantEnd expects the error, unless code is empty, and that the stream ends.
func (l *listener) wantEnd(code string) {
	l.t.Helper()
	if code != "" {
		if m := l.next(); m.Type != "error" || m.Code != code || m.Message == "" {
			l.t.Fatalf("got %+v, want error %s", m, code)
		}
	}
	if m, err := l.read(); err != io.EOF {
		l.t.Fatalf("got %+v, %v, want the end", m, err)
	}
}

// post sends a message with a number and returns the answer's status and code.
func (l *listener) post(n any, text string) (int, string) {
	l.t.Helper()
	status, code, err := tryPost(l.url, url.Values{"resume": {l.token}, "n": {fmt.Sprint(n)}}, text)
	if err != nil {
		l.t.Fatalf("posting: %v", err)
	}
	return status, code
}

func tryPost(address string, query url.Values, text string) (int, string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Post(address+"?"+query.Encode(), "application/json", strings.NewReader(text))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var m serverMessage
	if resp.StatusCode != http.StatusNoContent {
		err = json.NewDecoder(resp.Body).Decode(&m)
	}
	return resp.StatusCode, m.Code, err
}

// send posts the next message.
func (l *listener) send(text string) {
	l.t.Helper()
	l.sent++
	if status, code := l.post(l.sent, text); status != http.StatusNoContent {
		l.t.Fatalf("posting: %d %s", status, code)
	}
}

func (l *listener) wantUndisturbed() {
	l.t.Helper()
	l.send(`{"type":"ping"}`)
	l.want(serverMessage{Type: "pong"})
}

// hangUp drops the stream, and waits until the server knows.
func (s *server) hangUp(l *listener) {
	l.cancel()
	s.awaitAway(1)
}
