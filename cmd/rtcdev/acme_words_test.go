//go:build unix

package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"rtcdev/scripts/rehearsal"
)

// notForPeople finds names of Go's types and values, and of ACME's.
func notForPeople(text string) string {
	return regexp.MustCompile(`\*?\b(net|url|x509|tls|acme|acmecert|certmagic|json|fs|os|syscall)\.[A-Z]\w*|%!|0x[0-9a-f]{6}|<nil>|map\[|goroutine |urn:ietf`).FindString(text)
}

// failsWith checks how a command has failed: by its exit code, in one line of words, and with the
// next step on another.
func (o outcome) failsWith(t *testing.T, code int, says, next string) {
	t.Helper()
	t.Logf("%s", o.err)
	last := o.err[strings.LastIndex(o.err, "rtcdev: ")+1:]
	what, step, _ := strings.Cut(last, "\n  next: ")
	if o.code != code || !strings.Contains(what, says) || !strings.Contains(step, next) || strings.Count(o.err, "rtcdev: ") != 1 || strings.Count(o.err, "next: ") != 1 {
		t.Errorf("exit code %d, want %d, %q and %q:\n%s", o.code, code, says, next, o.err)
	}
	if word := notForPeople(o.err + o.out); word != "" {
		t.Errorf("who understands %q?\n%s%s", word, o.out, o.err)
	}
}

// refuse has the authority answer requests for a path with a problem.
func refuse(h *publicHost, path, kind string, status int, detail string, header ...string) {
	h.ca.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == path {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			rehearsal.Problem(w, status, kind, detail)
		}
		return r.URL.Path == path
	})
}

// obtainFault is what can go wrong with certs acme.
type obtainFault struct {
	prepare    func(h *publicHost) (more []string)
	code       int
	says, next string
}

// faultsOfAuthority are those that the authority has part in.
func faultsOfAuthority() map[string]obtainFault {
	return map[string]obtainFault{
		"wrong root": {func(h *publicHost) []string {
			h.run(h.home, "certs")
			return []string{"--acme-root", h.root()}
		}, exitFailed, "call.example.com: this machine does not trust the authority at 127.0.0.1:", "--acme-root FILE"},
		"authority down": {func(h *publicHost) []string {
			h.ca.Stop()
			return nil
		}, exitFailed, "does not answer", "that the authority runs"},
		"authority elsewhere": {func(*publicHost) []string { return []string{"--acme-ca", "https://127.0.0.1:1/dir"} },
			exitFailed, "the authority at 127.0.0.1:1 does not answer", "that the authority runs"},
		"no authority": {func(*publicHost) []string { return []string{"--acme-ca", "https://ca.invalid/dir"} },
			exitFailed, "the authority ca.invalid is not found", "--acme-ca"},
		"no directory": {func(h *publicHost) []string { return []string{"--acme-ca", h.ca.Directory + "/none"} },
			exitFailed, "there is no ACME directory at https://127.0.0.1:", "--acme-ca"},
		"no such name": {func(h *publicHost) []string {
			h.ca.SetNoName(publicName)
			return nil
		}, exitFailed, "the name call.example.com does not lead to this machine", "A or AAAA record for call.example.com"},
		"CAA": {func(h *publicHost) []string {
			h.ca.SetCAA("example.com", "other.test")
			return nil
		}, exitFailed, "the CAA records of call.example.com forbid", "CAA record"},
		"rate limit": {func(h *publicHost) []string {
			refuse(h, rehearsal.NewOrder, "rateLimited", http.StatusTooManyRequests, "too many certificates already issued", "Retry-After", "5400")
			return nil
		}, exitFailed, "gives no more certificates until 20", "wait until then"},
		"new terms": {func(h *publicHost) []string {
			refuse(h, rehearsal.NewAccount, "userActionRequired", http.StatusForbidden, "terms of service have changed")
			return nil
		}, exitFailed, "new terms of service", "agree, then start again"},
	}
}

// faultsOfOnesOwn are those of this machine, and of what was asked for.
func faultsOfOnesOwn() map[string]obtainFault {
	return map[string]obtainFault{
		"no root": {func(h *publicHost) []string { return []string{"--acme-root", "missing.pem"} }, exitFailed, "reading --acme-root: ", "root_ca.crt"},
		"not a root": {func(h *publicHost) []string {
			if err := os.WriteFile(filepath.Join(h.home, "root.pem"), []byte("hello"), 0o600); err != nil {
				h.t.Fatal(err)
			}
			return []string{"--acme-root", "root.pem"}
		}, exitFailed, "there is no certificate in root.pem", "root_ca.crt"},
		"port taken": {func(h *publicHost) []string {
			l, err := net.Listen("tcp", "127.0.0.1:"+port(h.httpPort))
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { l.Close() })
			return []string{"--challenge", "http-01"}
		}, exitPortTaken, "where port 80 is to arrive, is taken by another program", "--http-challenge-port"},
		"a file for a folder": {func(h *publicHost) []string {
			if err := os.MkdirAll(filepath.Dir(h.folder()), 0o700); err != nil {
				h.t.Fatal(err)
			}
			if err := os.WriteFile(h.folder(), nil, 0o600); err != nil {
				h.t.Fatal(err)
			}
			return nil
		}, exitFailed, "the folder for certificates cannot be used", "RTCDEV_HOME"},
		"bad e-mail address": {func(*publicHost) []string { return []string{"--email", "kim"} }, exitUsage, `"kim" is not an e-mail address`, "--email you@your.domain"},
		"bad profile":        {func(*publicHost) []string { return []string{"--acme-profile", "tlsserver"} }, exitFailed, `the authority has no profile "tlsserver"`, "default"},
		"plain http":         {func(*publicHost) []string { return []string{"--acme-ca", "http://ca.internal/dir"} }, exitUsage, "https address", "step-ca"},
	}
}

// What can go wrong with certs acme is said in plain words, with the exit code and the next step.
func TestACMEObtainFails(t *testing.T) {
	faults := faultsOfAuthority()
	maps.Copy(faults, faultsOfOnesOwn())
	for name, c := range faults {
		t.Run(name, func(t *testing.T) {
			h := newPublicHost(t, rehearsal.Options{})
			h.begin(c.prepare(h)...).end().failsWith(t, c.code, c.says, c.next)
			if h.ca.Orders() > 1 {
				t.Errorf("%d orders", h.ca.Orders())
			}
		})
	}
}

// For names that no public authority knows nothing is sent.
func TestACMENamesOfOnesOwn(t *testing.T) {
	a := newAccount(t)
	h := &publicHost{account: a}
	proxy, err := net.Listen("tcp", "127.0.0.1:0") // whatever would go out goes there
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	var sent atomic.Int32
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			sent.Add(1)
			conn.Close()
		}
	}()
	a.settings = []string{"HTTPS_PROXY=http://" + proxy.Addr().String(), "GORACE=atexit_sleep_ms=0"}
	for _, name := range []string{"localhost", "nas.local", "192.168.1.7", "nas", "call.internal", "127.0.0.1", "fd00::1"} {
		for _, args := range [][]string{{"certs", "acme", name}, {"serve", "--acme", name, "--port", "0"}} {
			h.beginWith(nil, append(args, "--email", "kim@company.kr")...).end().failsWith(t, exitUsage, "of your own network, and no public authority gives certificates for those", "rtcdev certs "+name)
		}
	}
	if _, err := os.Stat(h.folder()); err == nil && len(h.kept("*")) > 0 {
		t.Errorf("there are %q", h.kept("*"))
	}
	proxy.Close()
	<-over
	if n := sent.Load(); n > 0 {
		t.Errorf("something was sent, %d times", n)
	}
}

// A check that finds another machine, or another program, is told by serve, which goes on.
func TestACMECheckFindsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		at         string
		says, next string
	}{
		"nobody":       {"127.0.0.9", "the authority cannot connect to " + publicName, "see that port 80 of " + publicName + " leads to port "},
		"someone else": {"127.0.0.8", "something other than rtcdev answers at " + publicName, "check that the name leads to this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newPublicHost(t, rehearsal.Options{})
			h.ca.SetAddress(publicName, netip.MustParseAddr(c.at))
			other := &http.Server{Handler: http.NotFoundHandler()}
			l, err := net.Listen("tcp", "127.0.0.8:"+port(h.httpPort))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = other.Serve(l)
			}()
			defer func() {
				other.Close()
				<-ended
			}()
			s := h.servePublic()
			e := s.certificate("failed")
			what, next := fmt.Sprint(e["problem"]), fmt.Sprint(e["next"])
			t.Logf("%s\nnext: %s", what, next)
			if !strings.Contains(what, c.says) || !strings.Contains(next, c.next) || notForPeople(what+next) != "" {
				t.Errorf("the event is %v", e)
			}
			if got := h.health(s); len(got) != 1 || !strings.Contains(got[0].Problem, c.says) {
				t.Errorf("health tells %+v", got)
			}
			if took := s.interrupt(); took > endLimit { // in the pause after a failure
				t.Errorf("it took %v to end", took)
			}
		})
	}
}

// A certificate that cannot be read any more is made anew.
func TestACMECorruptIsHealed(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	h.obtain()
	for i, suffix := range []string{".crt", ".key", ".crt"} {
		if err := os.WriteFile(h.site(suffix), []byte("spoilt"), 0o600); err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			o := h.obtain()
			t.Logf("%s%s", o.err, o.out)
			continue
		}
		s := h.servePublic()
		s.certificate("obtained")
		h.serial(s)
	}
	if n := h.ca.Orders(); n != 4 {
		t.Errorf("%d orders", n)
	}
}

// Whatever is said with -v, it holds no key: neither of a certificate nor of the account.
func TestACMESaysNoKey(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	o := h.obtain("-v", "--json", "--cert-file", "site.pem", "--key-file", "site.key")
	first := h.site(".key")
	keys := [][]byte{}
	read := func() {
		t.Helper()
		for _, path := range append(h.kept("*.key"), first) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, text)
		}
	}
	read()
	h.makeDue()
	s := h.servePublic("-v")
	s.certificate("renewed")
	read()
	s.interrupt()
	status := h.run(h.home, "certs", "status", "-v")
	said := o.out + o.err + s.log.String() + status
	if !strings.Contains(said, "acme: ") {
		t.Error("it does not say much")
	}
	if strings.Contains(said, "PRIVATE") {
		t.Errorf("it shows a private key:\n%s", said)
	}
	for _, key := range keys {
		block, _ := pem.Decode(key)
		if block == nil {
			t.Fatalf("no key: %d bytes", len(key))
		}
		der := base64.StdEncoding.EncodeToString(block.Bytes)
		for _, form := range []string{der[12:52], fmt.Sprintf("%x", block.Bytes[9:29]), base64.RawURLEncoding.EncodeToString(block.Bytes[9:39])} {
			if strings.Contains(said, form) {
				t.Errorf("it shows a key, as %s…", form[:8])
			}
		}
	}
}
