package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// Credentials let one browser session make allocations until they expire. Those that
// exist by then go on: browsers never change the credentials of an allocation.
type Credentials struct {
	Username string    // "<Unix seconds of Expires>:<session>"
	Password string    // base64 of HMAC-SHA1(secret, Username)
	Expires  time.Time // in whole seconds
}

// Credentials returns new credentials for session, in the form that is known as the
// TURN REST API (draft-uberti-behave-turn-rest-00 §2.2) and that coturn understands,
// too. A session is any text of up to 400 bytes (RFC 8489 §14.3 bounds the user
// name); whoever has the same session may renew, and has the same network
// ([Server.Impair]). Sessions that are the same up to a "." share quotas.
func (s *Server) Credentials(session string) Credentials {
	expires := time.Now().Add(s.cfg.CredentialLifetime).Truncate(time.Second)
	username := strconv.FormatInt(expires.Unix(), 10) + ":" + session
	return Credentials{Username: username, Password: s.password(username), Expires: expires}
}

// password is what the holder of username must know.
func (s *Server) password(username string) string {
	mac := hmac.New(sha1.New, s.cfg.Secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// parseUsername takes apart what Credentials put together.
func parseUsername(username string) (expires time.Time, session string, ok bool) {
	seconds, session, ok := strings.Cut(username, ":")
	if !ok {
		return time.Time{}, "", false
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	return time.Unix(n, 0), session, err == nil
}

// authenticate is pion's AuthHandler: it returns the session as the user, so that
// renewed credentials refresh what the old ones made. pion checks the key.
func (f *front) authenticate(ra *turn.RequestAttributes) (session string, key []byte, ok bool) {
	expires, session, ok := parseUsername(ra.Username)
	if !ok {
		f.refuse(Refusal{Reason: BadCredentials})
		return "", nil, false
	}
	if time.Now().After(expires) {
		held := f.current.client.relayed.Load()
		if ra.Method == stun.MethodAllocate || held == nil || held.session != session {
			f.refuse(Refusal{Reason: ExpiredCredentials, Session: session})
			return "", nil, false
		}
	}
	return session, turn.GenerateAuthKey(ra.Username, Realm, f.server.password(ra.Username)), true
}
