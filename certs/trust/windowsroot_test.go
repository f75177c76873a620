package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestWindowsRoundTrip(t *testing.T) {
	for encoding, encode := range encodings() {
		for _, wsl := range []bool{false, true} {
			for _, missing := range []string{"", "powershell.exe", "certutil.exe", "wslpath"} {
				if encoding == "lines broken at 80" && missing == "powershell.exe" {
					continue // certutil breaks no lines
				}
				t.Run(fmt.Sprintf("%s, WSL %t, without %s", encoding, wsl, missing), func(t *testing.T) {
					root, ctx := newOwnRoot(t, "desk"), t.Context()
					f, m := newWindows(t, wsl, root)
					f.encode, f.korean, f.missing[missing] = encode, strings.Contains(encoding, "949"), true
					stranger := newOwnRoot(t, "other")
					f.certs = []*x509.Certificate{newRoot(t).cert}
					name := windowsStore{m}.Name()
					only := func(results []Result) Result { t.Helper(); return byName(t, results, name) }

					if r := only(m.Status(ctx, root, KindSystem)); r.State != StateAbsent || r.Browser != BrowserWindows || r.NeedsRoot {
						t.Fatalf("before: %+v", r)
					}
					r := only(m.Install(ctx, root, KindSystem))
					if r.Err != nil || r.State != StateTrusted || !r.Changed || !Trusted([]Result{r}) {
						t.Fatalf("Install: %+v", r)
					}
					checkReadBack(t, []Result{r}, []Result{only(m.Status(ctx, root, KindSystem))})
					if r := only(m.Install(ctx, root, KindSystem)); r.Err != nil || r.Changed || len(f.changes()) != 1 {
						t.Errorf("Install again: %+v, ran %v", r, f.changes())
					}
					roots, err := windowsStore{m}.Roots(ctx)
					if missing == "powershell.exe" && !wsl {
						wellSaid(t, err)
					} else if must(t, err); missing != "powershell.exe" {
						checkRoots(t, roots, root)
					}
					if r := only(m.Remove(ctx, stranger, KindSystem)); r.Err != nil || len(f.changes()) != 1 {
						t.Errorf("Remove of another root: %+v, ran %v", r, f.changes())
					}
					r = only(m.Remove(ctx, root, KindSystem))
					if r.Err != nil || r.State != StateAbsent || !r.Changed || len(f.certs) != 1 {
						t.Errorf("Remove: %+v, %d certificates left", r, len(f.certs))
					}
					if only(m.Remove(ctx, root, KindSystem)); len(f.changes()) != 2 {
						t.Errorf("Remove again ran %v", f.changes())
					}
				})
			}
		}
	}
}

func TestWindowsRefused(t *testing.T) {
	for _, test := range []struct {
		says, missing string
		korean        bool
		want          error
		said          string
	}{
		{says: "certutil.exe/cancelled", want: ErrDeclined, said: "it was declined"},
		{says: "certutil.exe/cancelled", korean: true, want: ErrDeclined, said: "it was declined"},
		{says: "powershell.exe/cancelled", missing: "certutil.exe", want: ErrDeclined, said: "it was declined"},
		{says: "certutil.exe/denied", want: ErrReadOnly, said: "denied"},
		{says: "certutil.exe/file-not-found", said: "0x80070002"},
		{says: "powershell.exe/constrained", missing: "certutil.exe", said: "exit status 1"},
		{says: "lies", want: ErrNotVerified},
		{says: "hangs", want: ErrTimeout, said: "window"},
	} {
		for _, wsl := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, Korean %t, WSL %t", test.says, test.korean, wsl), func(t *testing.T) {
				root, ctx := newOwnRoot(t, "desk"), t.Context()
				f, m := newWindows(t, wsl, root)
				f.missing[test.missing] = true
				if f.korean = test.korean; test.korean {
					f.encode = encodings()["two bytes a sign, as code page 949"]
				}
				switch {
				case test.says == "lies":
					f.lies = true
				case test.says == "hangs":
					f.hangs["certutil.exe"], m.Timeout = true, 50*time.Millisecond
				case test.missing == "certutil.exe":
					f.says["change"] = test.says
				default:
					f.says["-addstore"] = test.says
				}
				results := m.Install(ctx, root, KindSystem)
				r := byName(t, results, windowsStore{m}.Name())
				if r.Err == nil || r.State != StateAbsent || r.Changed || !strings.Contains(r.Err.Error(), test.said) || (test.want != nil && !errors.Is(r.Err, test.want)) {
					t.Errorf("%+v", r)
				}
				if test.want != ErrNotVerified {
					wellSaid(t, r.Err)
				}
				if len(f.changes()) != 1 {
					t.Errorf("the person was asked %d times: %v", len(f.changes()), f.changes())
				}
			})
		}
	}
}

func TestWindowsRemoveRefused(t *testing.T) {
	for _, test := range []struct {
		says string
		want error
	}{{"certutil.exe/cancelled", ErrDeclined}, {"certutil.exe/denied", ErrReadOnly}, {"lies", ErrNotVerified}} {
		root, ctx := newOwnRoot(t, "desk"), t.Context()
		f, m := newWindows(t, false, root)
		f.certs = []*x509.Certificate{root}
		if f.lies = test.says == "lies"; !f.lies {
			f.says["-delstore"] = test.says
		}
		r := m.Remove(ctx, root, KindSystem)[0]
		if !errors.Is(r.Err, test.want) || r.State != StateTrusted {
			t.Errorf("%s: %+v", test.says, r)
		}
		if !f.lies {
			wellSaid(t, r.Err)
		}
		if test.want == ErrReadOnly && !strings.Contains(r.Fix, "certutil -delstore Root "+thumbprint(root)) {
			t.Errorf("the next step: %q", r.Fix)
		}
	}
}

// TestWindowsDistrusted: a list of Windows that comes before the other one.
func TestWindowsDistrusted(t *testing.T) {
	root := newOwnRoot(t, "desk")
	f, m := newWindows(t, false, root)
	f.certs, f.disallowed = []*x509.Certificate{root}, []*x509.Certificate{root, newOwnRoot(t, "old")}
	if r := m.Status(t.Context(), root, KindSystem)[0]; r.State != StateAbsent || r.Fix == "" || Trusted([]Result{r}) {
		t.Errorf("%+v", r)
	}
	if r := m.Install(t.Context(), root, KindSystem)[0]; !errors.Is(r.Err, ErrNotVerified) {
		t.Errorf("%+v", r)
	}
	f.certs, f.disallowed = []*x509.Certificate{root}, []*x509.Certificate{newOwnRoot(t, "old")}
	if r := m.Status(t.Context(), root, KindSystem)[0]; r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
}

func TestWindowsStale(t *testing.T) {
	root := newOwnRoot(t, "desk")
	f, m := newWindows(t, false, root)
	one, two := newOwnRoot(t, "desk"), newOwnRoot(t, "책상")
	f.certs = []*x509.Certificate{one, newRoot(t).cert, two, one}
	if r := m.Status(t.Context(), root, KindSystem)[0]; r.State != StateStale || r.Stale != 2 {
		t.Errorf("%+v", r)
	}
	roots, err := m.Roots(t.Context(), KindSystem)
	must(t, err)
	checkRoots(t, roots, one, two)
}

// TestWindowsFallsBack: a PowerShell that does not answer is no reason to give up.
func TestWindowsFallsBack(t *testing.T) {
	for _, says := range []string{"powershell.exe/no-cert-drive", "powershell.exe/constrained"} {
		for _, korean := range []bool{false, true} {
			root := newOwnRoot(t, "desk")
			f, m := newWindows(t, false, root)
			f.says["powershell.exe"], f.korean = says, korean
			r := m.Install(t.Context(), root, KindSystem)[0]
			if r.Err != nil || r.State != StateTrusted {
				t.Errorf("%s: %+v", says, r)
			}
			if r := m.Remove(t.Context(), root, KindSystem)[0]; r.Err != nil || r.State != StateAbsent {
				t.Errorf("%s: %+v", says, r)
			}
		}
	}
}

func TestWindowsUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(f *fakeWindows, m *Machine){
		"nothing is there": func(f *fakeWindows, _ *Machine) { f.missing["powershell.exe"], f.missing["certutil.exe"] = true, true },
		"interop off": func(f *fakeWindows, _ *Machine) {
			f.says["powershell.exe"], f.says["certutil.exe"] = "powershell.exe/interop-off", "powershell.exe/interop-off"
		},
		"exec format error": func(f *fakeWindows, m *Machine) {
			m.Run = func(_ context.Context, program string, _ ...string) ([]byte, []byte, error) {
				return nil, nil, fmt.Errorf("fork/exec %s: exec format error", program)
			}
		},
		"PowerShell hangs": func(f *fakeWindows, m *Machine) { f.hangs["powershell.exe"], m.Timeout = true, 50*time.Millisecond },
		"certutil says 0 and nothing": func(f *fakeWindows, _ *Machine) {
			f.missing["powershell.exe"], f.says["-store"] = true, "certutil.exe/deleted"
		},
	} {
		for _, wsl := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, WSL %t", name, wsl), func(t *testing.T) {
				root, ctx := newOwnRoot(t, "desk"), t.Context()
				f, m := newWindows(t, wsl, root)
				spoil(f, &m)
				s := windowsStore{m}
				r := s.Status(ctx, root)
				switch {
				case wsl && r.State != StateUnused, !wsl && r.State != StateUnknown && r.State != StateUnavailable, r.Reason == "":
					t.Errorf("%+v", r)
				}
				t.Logf("%s: %s\n  next: %s", r.State, r.Reason, r.Fix)
				if strings.ContainsAny(r.Reason, "\r\n") {
					t.Errorf("it is not one line: %q", r.Reason)
				}
				if err := s.Remove(ctx, root); err == nil {
					t.Error("Remove must not pass for done")
				}
				if roots, err := s.Roots(ctx); len(roots) != 0 || (err == nil) != wsl {
					t.Errorf("Roots: %d, %v", len(roots), err)
				}
				if results := m.Install(ctx, root, KindSystem); Trusted(results) || len(f.changes()) != 0 {
					t.Errorf("%+v, ran %v", results, f.changes())
				}
			})
		}
	}
}

// TestWindowsFromWSL is about root there, whose PATH has no Windows in it.
func TestWindowsFromWSL(t *testing.T) {
	root, ctx := newOwnRoot(t, "desk"), t.Context()
	f, m := newWindows(t, true, root)
	m.UID = 0
	r := byName(t, m.Install(ctx, root), "windows (from WSL)")
	if r.Err != nil || r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
	if len(f.changes()) != 1 || !strings.Contains(f.changes()[0], `-user -addstore Root \\wsl.localhost\Debian\`) {
		t.Errorf("ran %v", f.changes())
	}
	results := m.Status(ctx, root, KindSystem)
	if len(results) != 2 || results[0].Store != "system" || results[1].State != StateTrusted {
		t.Errorf("both systems have a store: %+v", results)
	}
	m.LookPath = func(program string) (string, error) { // Windows is on another drive
		if strings.HasPrefix(program, "/") {
			return "", exec.ErrNotFound
		}
		return "/mnt/d/Windows/" + program, nil
	}
	if r := (windowsStore{m}).Status(ctx, root); r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
}

// TestWindowsWaitsForThePerson, and less long for what asks nobody.
func TestWindowsWaitsForThePerson(t *testing.T) {
	for _, missing := range []string{"", "certutil.exe"} {
		root := newOwnRoot(t, "desk")
		f, m := newWindows(t, false, root)
		f.missing[missing] = true
		must(t, m.Install(t.Context(), root, KindSystem)[0].Err)
		must(t, m.Remove(t.Context(), root, KindSystem)[0].Err)
		if len(f.changes()) != 2 {
			t.Errorf("ran %v", f.changes())
		}
		for ran, limit := range f.limits {
			want := readTimeout
			if strings.Contains(ran, "store Root") || strings.Contains(ran, "X509Store") {
				want = promptTimeout
			}
			if limit != want {
				t.Errorf("%s may take %s, want %s", ran, limit, want)
			}
		}
	}
}
