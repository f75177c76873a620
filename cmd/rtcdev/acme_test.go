package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rtcdev/certs/acmecert"
	"rtcdev/devserver"
)

// serveFlags is what the command line of serve means.
func serveFlags(t *testing.T, a *app, args ...string) (o serveOptions, err error) {
	t.Helper()
	cmd := newServeCmd(a, func(_ context.Context, got serveOptions) error {
		o = got
		return nil
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return o, err
}

// A public name is for others, and needs nothing on this machine; what is given counts.
func TestACMEFlags(t *testing.T) {
	for _, tt := range []struct {
		args, host, trust string
	}{
		{"--acme call.example.com", devserver.AllInterfaces, "no"},
		{"--acme call.example.com --host=127.0.0.1", "127.0.0.1", "no"},
		{"--acme call.example.com --host= --trust=ask", "", "ask"},
		{"--acme call.example.com --trust=yes", devserver.AllInterfaces, "yes"},
		{"", "", "ask"},
	} {
		s, _ := newPrinter(t)
		o, err := serveFlags(t, s.app, strings.Fields(tt.args)...)
		if err != nil || o.host != tt.host || o.trust != tt.trust {
			t.Errorf("%s: host %q, trust %q, %v", tt.args, o.host, o.trust, err)
		}
	}
	s, _ := newPrinter(t)
	s.yes = true // is for questions, and there is none
	o, err := serveFlags(t, s.app, "--acme", "a.example.com,b.example.com", "--acme", "*.example.org", "--dns-resolver", "192.0.2.1", "--dns-resolver", "192.0.2.2:53", "--staging")
	if err != nil || o.trust != "no" || !slices.Equal(o.acme.names, []string{"a.example.com", "b.example.com", "*.example.org"}) ||
		len(o.acme.resolvers) != 2 || o.acme.httpPort != 80 || o.acme.authority() != acmecert.LetsEncryptStaging {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestACMEUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--email kim@company.kr":         "--email is about the certificate of a public name",
		"--staging":                      "--staging is about",
		"--acme-ca https://ca.internal/": "--acme-ca is about",
		"--acme-root root.pem":           "--acme-root is about",
		"--acme-profile shortlived":      "--acme-profile is about",
		"--dns-hook ./hook":              "--dns-hook is about",
		"--dns-resolver 192.0.2.1":       "--dns-resolver is about",
		"--challenge http-01":            "--challenge is about",
		"--http-challenge-port 8080":     "--http-challenge-port is about",
		"--acme=":                        "--acme names nothing",
		"--acme a.kr --staging --acme-ca https://ca.internal/": "name two authorities",
		"--acme a.kr --http-challenge-port 0":                  "0 is not a port",
		"--acme a.kr --cert-file c.pem --key-file k.pem":       "a certificate of your own",
		"--acme a.kr --key-file k.pem":                         "a certificate of your own",
	} {
		s, _ := newPrinter(t)
		_, err := serveFlags(t, s.app, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage || nextStep(err) == "" {
			t.Errorf("%s: %v, next %q", args, err, nextStep(err))
		}
		if strings.Contains(want, "your own") && !strings.Contains(nextStep(err), "rtcdev certs acme a.kr --cert-file") ||
			strings.Contains(want, "is about") && !strings.Contains(nextStep(err), "rtcdev serve --acme") {
			t.Errorf("%s: next %q", args, nextStep(err))
		}
	}
	// Both commands have a flag for each thing that package acmecert can be told.
	s, _ := newPrinter(t)
	var got acmeOptions
	cmd := newACMECmd(func(_ context.Context, o acmeOptions) error {
		got = o
		return nil
	})
	cmd.SetArgs(strings.Fields("a.kr b.kr --email kim@company.kr --tls-challenge-port 8443 --cert-file c --key-file k --challenge tls-alpn-01 --acme-profile p --acme-ca https://ca.internal/dir"))
	if err := cmd.ExecuteContext(t.Context()); err != nil || len(got.names) != 2 || got.tlsPort != 8443 || got.certFile != "c" || got.authorityHost() != "ca.internal" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{"email", "acme-ca", "acme-root", "staging", "acme-profile", "dns-hook", "dns-resolver", "challenge", "http-challenge-port"} {
		if serve := newServeCmd(s.app, nil); cmd.Flags().Lookup(name) == nil || serve.Flags().Lookup(name) == nil {
			t.Errorf("not both commands have --%s", name)
		}
		if slices.Contains(fromFile(), name) {
			t.Errorf("somebody's file may set --%s", name)
		}
	}
	if slices.Contains(fromFile(), "acme") || slices.Contains(fromFile(), unitFlag) {
		t.Error("somebody's file may set --acme")
	}
}

// The root of the authority's own certificate is read before anything else is done.
func TestACMERoot(t *testing.T) {
	s, _ := newPrinter(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{filepath.Join(dir, "none.pem"): "reading --acme-root: open ", empty: "there is no certificate in " + empty, dir: "reading --acme-root"} {
		_, err := s.manager(acmeOptions{names: []string{"a.kr"}, rootFile: file}, filepath.Join(dir, "acme"), "", nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(nextStep(err), "PEM file") || exitCode(err) != exitFailed {
			t.Errorf("%s: %v, next %q", file, err, nextStep(err))
		}
	}
}

// What package acmecert finds wrong is an error like others, with its next step.
func TestACMEFault(t *testing.T) {
	for kind, exit := range map[acmecert.Kind]int{
		acmecert.BadSetting: exitUsage, acmecert.BadFolder: exitFailed, acmecert.PortTaken: exitPortTaken, acmecert.Interrupted: exitInterrupted, acmecert.NotReached: exitFailed,
	} {
		err := acmeFault(errors.Join(&acmecert.Problem{Kind: kind, What: "what\x1b[2J\nfailed", Fix: "a step", Err: fs.ErrInvalid}))
		if exitCode(err) != exit || nextStep(err) != "a step" || err.Error() != "what [2J failed: invalid argument" {
			t.Errorf("%s: %q, exit %d, next %q", kind, err, exitCode(err), nextStep(err))
		}
	}
	if acmeFault(nil) != nil || !errors.Is(acmeFault(fs.ErrInvalid), fs.ErrInvalid) {
		t.Error("another error is changed")
	}
}

func TestCertificateLines(t *testing.T) {
	s, what := newPrinter(t)
	far, soon := time.Date(2099, 2, 21, 12, 0, 0, 0, time.UTC), time.Now().Add(time.Hour)
	past := time.Now().Add(-time.Hour)
	problem := &acmecert.Problem{Kind: acmecert.NotReached, What: "port 80 cannot be reached", Fix: "open it", Err: errors.New("a\r\nb\x1b]0;evil\a")}
	for _, tt := range []struct {
		event acmecert.Event
		want  []string
	}{
		{acmecert.Event{Kind: acmecert.Registering, Terms: "https://ca.internal/terms"}, []string{"Registering with ca.internal…", "By going on you agree to the authority's terms of service: https://ca.internal/terms"}},
		{acmecert.Event{Kind: acmecert.Registering}, []string{"Registering with ca.internal…"}},
		{acmecert.Event{Kind: acmecert.Ordering}, []string{"call.example.com: asking ca.internal for a certificate…"}},
		{acmecert.Event{Kind: acmecert.Found, Issuer: "E7", NotAfter: far}, []string{"✓ call.example.com has a certificate of E7 until 2099-02-21"}},
		{acmecert.Event{Kind: acmecert.Obtained, Issuer: "E\x007", NotAfter: soon}, []string{"✓ call.example.com has a certificate of E 7 until " + moment(soon)}},
		{acmecert.Event{Kind: acmecert.Renewed, Issuer: "E7", NotAfter: far}, []string{"✓ call.example.com has a new certificate of E7 until 2099-02-21"}},
		{acmecert.Event{Kind: acmecert.Failed, Problem: problem, Next: soon}, []string{
			"call.example.com: port 80 cannot be reached: a b ]0;evil", "next: open it", "It is tried again in 60 min."}},
		{acmecert.Event{Kind: acmecert.Failed, Problem: problem, NotAfter: past}, []string{
			"call.example.com: port 80 cannot be reached: a b ]0;evil", "next: open it", "The certificate in use ended at " + moment(past) + ": browsers refuse it."}},
		{acmecert.Event{Kind: acmecert.Waiting}, []string{"call.example.com: waiting until its record is seen in the DNS, two minutes at most…"}},
		{acmecert.Event{Kind: acmecert.Leftover, Problem: problem}, []string{"call.example.com: port 80 cannot be reached: a b ]0;evil", "next: open it"}},
		{acmecert.Event{Kind: acmecert.Failed, Problem: problem, NotAfter: far}, []string{
			"call.example.com: port 80 cannot be reached: a b ]0;evil", "next: open it", "The certificate in use is good until 2099-02-21."}},
	} {
		clear(s.faults)
		tt.event.Name = "call.example.com"
		e := certificateEvent(tt.event, "ca.internal")
		e.Time = time.Now()
		s.event(e)
		want := e.Time.Local().Format("15:04:05") + "  " + strings.Join(tt.want, "\n          ") + "\n"
		if got := what(); got != want {
			t.Errorf("%s:\n%swant:\n%s", tt.event.Kind, got, want)
		}
	}
	s.quiet = true
	clear(s.faults)
	s.event(certificateEvent(acmecert.Event{Kind: acmecert.Ordering, Name: "call.example.com"}, "ca.internal"))
	s.event(certificateEvent(acmecert.Event{Kind: acmecert.Failed, Name: "call.example.com", Problem: problem}, "ca.internal"))
	if got := what(); strings.Contains(got, "asking") || !strings.Contains(got, "port 80 cannot be reached") {
		t.Errorf("with --quiet: %s", got)
	}
}

// Its first screen leads nobody to the local authority's root.
func TestACMEScreen(t *testing.T) {
	s, what := newPrinter(t)
	s.options.acme.names, s.options.host = []string{"call.example.com"}, devserver.AllInterfaces
	s.names, s.created = []string{"*.example.com", "call.example.com"}, true
	s.event(devserver.Ready{URL: "https://call.example.com/", Room: "https://call.example.com/?room=lobby"})
	text := what()
	for _, want := range []string{"every browser, as soon as there is a certificate for\n           *.example.com, call.example.com", "from the internet too", "which signs for this server's other names"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "certs trust") {
		t.Errorf("it asks for trust: %s", text)
	}
	for name, want := range map[string]string{"call.example.com": "which has no certificate yet", "other.example.com": "name it with --acme too"} {
		s.event(devserver.Device{Addr: "192.0.2.1", Refused: devserver.NoCertificate, ServerName: name})
		if got := what(); !strings.Contains(got, "asked for "+name) || !strings.Contains(got, want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	s.event(devserver.Certificate{Name: "call.example.com", State: string(acmecert.Found)})
	what()
	s.event(devserver.Device{Addr: "192.0.2.1", Refused: devserver.CertificateRefused, ServerName: "call.example.com"})
	if got := what(); !strings.Contains(got, "refused the certificate of call.example.com (it does not know who signed it)") {
		t.Error(got)
	}
	for want, o := range map[string]acmeOptions{"Let's Encrypt's staging": {staging: true}, "that trust the authority ca.internal:9000": {directory: "https://ca.internal:9000/dir"}} {
		s.options.acme = o
		s.trustLine()
		if got := what(); !strings.Contains(got, want) {
			t.Errorf("%s, want %q", got, want)
		}
	}
}

// What goes on to fail in the same way is told once, and again after an hour; something else, and
// the end of it, at once.
func TestACMEFailsAgain(t *testing.T) {
	s, what := newPrinter(t)
	now := time.Now()
	tell := func(kind acmecert.EventKind, problem string, after time.Duration) string {
		e := certificateEvent(acmecert.Event{Kind: kind, Name: "call.example.com"}, "ca.internal")
		e.Problem, e.Time = problem, now.Add(after)
		s.event(e)
		return what()
	}
	for i, c := range []struct {
		kind    acmecert.EventKind
		problem string
		after   time.Duration
		isTold  bool
	}{
		{acmecert.Ordering, "", 0, true},
		{acmecert.Failed, "it does not answer: port 1", time.Second, true},
		{acmecert.Ordering, "", 2 * time.Second, false},
		{acmecert.Failed, "it does not answer: port 2", 3 * time.Second, false},
		{acmecert.Failed, "it is out of paper", 4 * time.Second, true},
		{acmecert.Failed, "it is out of paper", time.Minute, false},
		{acmecert.Failed, "it is out of paper", 2 * time.Hour, true},
		{acmecert.Leftover, "it is left", 3 * time.Hour, false},
		{acmecert.Obtained, "", 3 * time.Hour, true},
		{acmecert.Ordering, "", 4 * time.Hour, true},
		{acmecert.Failed, "it is out of paper", 5 * time.Hour, true},
	} {
		if got := tell(c.kind, c.problem, c.after); (got != "") != c.isTold {
			t.Errorf("%d, %s: %q", i, c.kind, got)
		}
	}
}

// The end of a certificate is told, also of one whose renewal goes on to fail.
func TestACMEEndIsTold(t *testing.T) {
	s, what := newPrinter(t)
	now := time.Now()
	for i, c := range []struct {
		after  time.Duration
		isTold bool
	}{{0, true}, {time.Minute, false}, {3 * time.Minute, true}, {4 * time.Minute, false}} {
		e := devserver.Certificate{Name: "call.example.com", State: string(acmecert.Failed), Problem: "it does not answer", NotAfter: now.Add(2 * time.Minute), Time: now.Add(c.after)}
		s.event(e)
		if got := what(); (got != "") != c.isTold {
			t.Errorf("%d: %q", i, got)
		}
	}
}

// acmeStates are one of each kind.
func acmeStates() []acmecert.State {
	far := time.Date(2099, 2, 21, 12, 0, 0, 0, time.UTC)
	problem := &acmecert.Problem{Kind: acmecert.HookFailed, What: "the program failed", Fix: "mend it", Err: errors.New("token=secret")}
	return []acmecert.State{
		{Name: "fine.example.com", Authority: "ca.internal", Issuer: "E7", NotAfter: far, CertFile: "/s/fine.crt", KeyFile: "/s/fine.key"},
		{Name: "old.example.com", Authority: "ca.internal", Issuer: "E7", NotAfter: far, CertFile: "/s/old.crt", KeyFile: "/s/old.key", Problem: problem, FailedAt: far.AddDate(-1, 0, 0), Next: far},
		{Name: "none.example.com", Authority: "ca.internal", Problem: problem},
		{Name: "ended.example.com", Authority: "ca.internal", Issuer: "E7", NotAfter: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Problem: problem},
	}
}

func TestPrintACME(t *testing.T) {
	s, what := newPrinter(t)
	s.printACME(nil)
	if got := what(); got != "" {
		t.Errorf("of none: %q", got)
	}
	s.printACME(acmeReports(acmeStates()))
	got := what()
	for _, want := range []string{
		"\n  fine.example.com  until 2099-02-21, signed by E7  from ca.internal\n  old.example.com  until",
		"\n      not renewed at " + moment(time.Date(2098, 2, 21, 12, 0, 0, 0, time.UTC)) + ": the program failed: token=secret\n      next: mend it\n      rtcdev serve tries again at 2099-02-21",
		"\n  none.example.com  has no certificate  from ca.internal\n      failed: the program failed",
		"\n  ended.example.com  ended " + moment(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Strangers see how it goes, and nothing about this machine.
func TestACMEHealth(t *testing.T) {
	reports := acmeReports(acmeStates())
	for i := range reports {
		reports[i].hide()
	}
	text, err := json.Marshal(reports)
	if err != nil || strings.Contains(string(text), "/s/") || strings.Contains(string(text), "secret") || strings.Contains(string(text), "mend") {
		t.Errorf("%s, %v", text, err)
	}
	if !strings.Contains(string(text), `{"name":"old.example.com","authority":"ca.internal","issuer":"E7","notAfter":"2099-02-21T12:00:00Z","problem":"the program failed","problemKind":"dns-hook","failedAt":"2098-02-21T12:00:00Z","retryAt":"2099-02-21T12:00:00Z"}`) {
		t.Errorf("%s", text)
	}
}

func TestObtained(t *testing.T) {
	s, what := newPrinter(t)
	reports := acmeReports(acmeStates())
	s.printObtained(reports, acmeOptions{staging: true})
	if got := what(); strings.Count(got, "Certificate  ") != 2 || !strings.Contains(got, "Private key  /s/fine.key  (keep") || !strings.Contains(got, "Signed by    E7 (ca.internal), whom no browser trusts\n") {
		t.Errorf("%s", got)
	}
	err := s.notObtained(reports, errors.Join(&acmecert.Problem{What: "x"}, &acmecert.Problem{What: "y"}))
	if err == nil || err.Error() != "ended.example.com: the program failed: token=secret" || nextStep(err) != "mend it" || exitCode(err) != exitFailed {
		t.Errorf("%v, next %q", err, nextStep(err))
	}
	if got := what(); !strings.Contains(got, "Warning: old.example.com keeps the certificate that it has, until 2099-02-21: the program failed") ||
		!strings.Contains(got, "rtcdev: none.example.com: the program failed: token=secret\n  next: mend it\n") {
		t.Errorf("%s", got)
	}
	if err := s.notObtained(reports[:2], nil); err != nil {
		t.Errorf("a renewal that can wait fails: %v", err)
	}
	if err := s.notObtained(nil, &acmecert.Problem{Kind: acmecert.BadFolder, What: "no folder", Fix: "make one"}); err == nil || nextStep(err) != "make one" {
		t.Errorf("%v", err)
	}
}
