package acmecert

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// core is a logger for certmagic that writes to ours. It also picks up when the authority wants to
// be asked again, a header field that the ACME client tells nobody else of.
type core struct {
	log    *slog.Logger
	fields []zapcore.Field

	asked *asked
}

// asked is what was last heard of Retry-After (RFC 8555 §6.6) with an error.
type asked struct {
	mu    sync.Mutex
	until time.Time
}

// latest is when the authority wants to be asked again; zero if it did not say.
func (a *asked) latest() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.until
}

func (c *core) Enabled(zapcore.Level) bool { return true }

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.log, slices.Concat(c.fields, fields), c.asked}
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(entry, c)
}

// Write never fails. Everything is for those who look for a fault: what matters is an event.
func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.hear(fields)
	if !c.log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	attrs := make([]slog.Attr, 0, len(values.Fields))
	for _, key := range slices.Sorted(maps.Keys(values.Fields)) {
		attrs = append(attrs, slog.Any(key, values.Fields[key]))
	}
	c.log.LogAttrs(context.Background(), slog.LevelDebug, "acme: "+entry.Message, attrs...)
	return nil
}

func (c *core) Sync() error { return nil }

// hear looks for an answer of the authority with an error status and Retry-After.
func (c *core) hear(fields []zapcore.Field) {
	var header http.Header
	var status int64
	for _, f := range fields {
		switch f.Key {
		case "response_headers":
			header, _ = f.Interface.(http.Header)
		case "status_code":
			status = f.Integer
		}
	}
	if status < http.StatusBadRequest {
		return
	}
	until := retryTime(header.Get("Retry-After"), time.Now())
	if until.IsZero() {
		return
	}
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	c.asked.until = until
}

// retryTime reads Retry-After: seconds from now, or a date (RFC 9110 §10.2.3). It is zero for
// what is neither.
func retryTime(text string, now time.Time) time.Time {
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds < int(366*24*time.Hour/time.Second) {
		return now.Add(time.Duration(seconds) * time.Second)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}
	}
	return at
}
