package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestKeychainRoundTrip(t *testing.T) {
	for uid, names := range map[int][2]string{501: {"login keychain", "system keychain"}, 0: {"system keychain", "login keychain"}} {
		for _, words := range []string{"", "security/trust-settings-export-none-ko"} {
			root, ctx := newOwnRoot(t, "desk"), t.Context()
			f, m := newMac(t, uid, root)
			if words != "" { // the language of the Mac: only until something is set
				f.says["trust-settings-export"] = words
			}
			before := m.Status(ctx, root, KindSystem)
			if mine, other := byName(t, before, names[0]), byName(t, before, names[1]); mine.State != StateAbsent || other.State != StateUnused || mine.Reason != reasonAbsent {
				t.Fatalf("before: %+v", before)
			}
			if Trusted(before) {
				t.Error("nothing is trusted yet")
			}
			if words != "" {
				run := m.Run
				m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
					if args[0] == "add-trusted-cert" {
						f.says["trust-settings-export"] = ""
					}
					return run(ctx, program, args...)
				}
			}
			installed := m.Install(ctx, root, KindSystem)
			mine, other := byName(t, installed, names[0]), byName(t, installed, names[1])
			if mine.Err != nil || mine.State != StateTrusted || !mine.Changed || !other.Skipped || other.Err != nil || !Trusted(installed) {
				t.Fatalf("Install: %+v", installed)
			}
			checkReadBack(t, installed, m.Status(ctx, root, KindSystem))
			count := len(f.changes())
			if again := m.Install(ctx, root, KindSystem); len(f.changes()) != count || !Trusted(again) {
				t.Errorf("Install again ran %v", f.changes()[count:])
			}
			roots, err := m.Roots(ctx, KindSystem)
			must(t, err)
			checkRoots(t, roots, root)
			for _, r := range m.Remove(ctx, root, KindSystem) {
				if r.Err != nil || r.State == StateTrusted {
					t.Errorf("Remove: %+v", r)
				}
			}
			for path, held := range f.keychains {
				if len(held) != 0 {
					t.Errorf("%s still holds %d certificates", path, len(held))
				}
			}
			if len(f.set[true])+len(f.set[false]) != 0 {
				t.Errorf("settings are left: %v", f.set)
			}
			count = len(f.changes())
			m.Remove(ctx, root, KindSystem)
			if len(f.changes()) != count {
				t.Errorf("Remove again ran %v", f.changes()[count:])
			}
			t.Log(strings.Join(f.changes(), "\n"))
		}
	}
}

// TestKeychainEitherIsEnough is about which of the two the browsers need.
func TestKeychainEitherIsEnough(t *testing.T) {
	root, stale, ctx := newOwnRoot(t, "desk"), newOwnRoot(t, "desk"), t.Context()
	system := func(m Machine) string { return keychainStore{m, true}.Path() }
	login := func(m Machine) string { return keychainStore{m, false}.Path() }
	for name, test := range map[string]struct {
		prepare       func(f *fakeMac, m Machine)
		system, login State
		trusted       bool
	}{
		"the System keychain trusts it": {func(f *fakeMac, m Machine) {
			f.keychains[system(m)] = []*x509.Certificate{root}
			f.set[true][thumbprint(root)] = "trusted-explicit"
		}, StateTrusted, StateUnused, true},
		"both do": {func(f *fakeMac, m Machine) {
			f.keychains[system(m)], f.keychains[login(m)] = []*x509.Certificate{root}, []*x509.Certificate{root}
			f.set[true][thumbprint(root)], f.set[false][thumbprint(root)] = "trusted-always", "trusted-keychain-access"
		}, StateTrusted, StateTrusted, true},
		"the System keychain does, and the account says never": {func(f *fakeMac, m Machine) {
			f.keychains[system(m)] = []*x509.Certificate{root}
			f.set[true][thumbprint(root)], f.set[false][thumbprint(root)] = "trusted-always", "denied-ssl"
		}, StateAbsent, StateAbsent, false},
		"the System keychain holds it, the login keychain trusts it": {func(f *fakeMac, m Machine) {
			f.keychains[system(m)], f.keychains[login(m)] = []*x509.Certificate{root}, []*x509.Certificate{root}
			f.set[false][thumbprint(root)] = "trusted-ssl-basic"
		}, StateAbsent, StateTrusted, true},
		"an earlier root is in the System keychain": {func(f *fakeMac, m Machine) {
			f.keychains[system(m)] = []*x509.Certificate{stale}
		}, StateUnused, StateAbsent, false},
		"an earlier root is in the login keychain": {func(f *fakeMac, m Machine) {
			f.keychains[login(m)] = []*x509.Certificate{stale}
		}, StateUnused, StateStale, false},
		"the setting is left, the certificate is gone": {func(f *fakeMac, m Machine) {
			f.set[false][thumbprint(root)] = "trusted-ssl-basic"
		}, StateUnused, StateAbsent, false},
		"it is held and not trusted": {func(f *fakeMac, m Machine) {
			f.keychains[login(m)] = []*x509.Certificate{root}
		}, StateUnused, StateAbsent, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, m := newMac(t, 501, root)
			test.prepare(f, m)
			results := m.Status(ctx, root, KindSystem)
			if results[0].State != test.system || results[1].State != test.login || Trusted(results) != test.trusted {
				t.Errorf("trusted %t\n%+v\n%+v", Trusted(results), results[0], results[1])
			}
			for _, r := range results {
				if r.State != StateTrusted && r.Reason == "" {
					t.Errorf("no reason: %+v", r)
				}
				t.Logf("%s: %s: %s", r.Store, r.State, r.Reason)
			}
			if got := results[0].Stale + results[1].Stale; strings.HasPrefix(name, "an earlier") != (got == 1) {
				t.Errorf("%d stale roots", got)
			}
		})
	}
}

func TestKeychainRemoveTakesWhatIsLeft(t *testing.T) {
	for _, prepare := range []func(f *fakeMac, path string, root *x509.Certificate){
		func(f *fakeMac, _ string, root *x509.Certificate) { f.set[false][thumbprint(root)] = "trusted-always" },
		func(f *fakeMac, path string, root *x509.Certificate) {
			f.keychains[path] = []*x509.Certificate{root}
		},
		func(f *fakeMac, path string, root *x509.Certificate) {
			f.keychains[path] = []*x509.Certificate{root}
			f.set[false][thumbprint(root)] = "denied-all"
		},
	} {
		root := newOwnRoot(t, "desk")
		f, m := newMac(t, 501, root)
		path, other := keychainStore{m, false}.Path(), newOwnRoot(t, "desk")
		prepare(f, path, root)
		f.keychains[path] = append(f.keychains[path], other)
		r := byName(t, m.Remove(t.Context(), root, KindSystem), "login keychain")
		if r.Err != nil || !r.Changed || len(f.set[false]) != 0 || len(f.keychains[path]) != 1 {
			t.Errorf("%+v, left: %d certificates, settings %v", r, len(f.keychains[path]), f.set)
		}
	}
}

func TestKeychainRefused(t *testing.T) {
	for _, test := range []struct {
		says string
		want error
		said string
	}{
		{"security/cancelled", ErrDeclined, "window"},
		{"security/cancelled-ko", nil, "사용자가"},
		{"security/no-window", nil, "could not open one"},
		{"security/internal-component", nil, "could not open one"},
		{"security/denied", nil, "did not accept the password"},
		{"security/parameters", nil, "not valid"},
		{"hangs", ErrTimeout, "window"},
		{"lies", ErrNotVerified, "not in it"},
	} {
		t.Run(strings.ReplaceAll(test.says, "security/", ""), func(t *testing.T) {
			root := newOwnRoot(t, "desk")
			f, m := newMac(t, 501, root)
			switch test.says {
			case "hangs":
				f.hangs["add-trusted-cert"], m.Timeout = true, 50*time.Millisecond
			case "lies":
				f.lies["add-trusted-cert"] = true
			default:
				f.says["add-trusted-cert"] = test.says
			}
			results := m.Install(t.Context(), root, KindSystem)
			r := byName(t, results, "login keychain")
			if r.Err == nil || r.State == StateTrusted || Trusted(results) || !strings.Contains(r.Err.Error(), test.said) {
				t.Errorf("%+v", r)
			}
			if test.want != nil && !errors.Is(r.Err, test.want) {
				t.Errorf("%v is not %v", r.Err, test.want)
			}
			if test.says != "lies" {
				wellSaid(t, r.Err)
			}
			if held := f.keychains[keychainStore{m, false}.Path()]; len(held) != 0 {
				t.Error("the certificate of a change that failed is left in the keychain")
			}
			if j, err := m.readJournal(); err != nil || len(j.Stores) != 0 {
				t.Errorf("nothing was done, and the journal says %+v, %v", j, err)
			}
		})
	}
}

func TestKeychainRemoveRefused(t *testing.T) {
	for command, says := range map[string]string{"remove-trusted-cert": "security/cancelled", "delete-certificate": "security/no-window"} {
		for _, lie := range []bool{false, true} {
			root := newOwnRoot(t, "desk")
			f, m := newMac(t, 501, root)
			m.Install(t.Context(), root, KindSystem)
			if f.lies[command] = lie; !lie {
				f.says[command] = says
			}
			r := byName(t, m.Remove(t.Context(), root, KindSystem), "login keychain")
			if r.Err == nil || (lie && !errors.Is(r.Err, ErrNotVerified)) {
				t.Errorf("%s, lie %t: %+v", command, lie, r)
			}
			if !lie {
				wellSaid(t, r.Err)
			}
			if j, err := m.readJournal(); err != nil || len(j.Stores) != 1 {
				t.Errorf("it is still there, and the journal says %+v, %v", j, err)
			}
		}
	}
}

func TestKeychainUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(f *fakeMac, m *Machine){
		"damaged item": func(f *fakeMac, _ *Machine) { f.says["find-certificate"] = "security/find-certificate-damaged" },
		"settings": func(f *fakeMac, _ *Machine) {
			f.says["trust-settings-export"] = "security/trust-settings-export-failed"
		},
		"find hangs":      func(f *fakeMac, m *Machine) { f.hangs["find-certificate"], m.Timeout = true, 50*time.Millisecond },
		"export hangs":    func(f *fakeMac, m *Machine) { f.hangs["trust-settings-export"], m.Timeout = true, 50*time.Millisecond },
		"exports nothing": func(f *fakeMac, _ *Machine) { f.says["trust-settings-export"] = "certutil.exe/deleted" },
		"security is absent": func(_ *fakeMac, m *Machine) {
			m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newOwnRoot(t, "desk")
			f, m := newMac(t, 501, root)
			spoil(f, &m)
			want := StateUnknown
			if name == "security is absent" {
				want = StateUnavailable
			}
			results := m.Status(t.Context(), root, KindSystem)
			if r := byName(t, results, "login keychain"); r.State != want || r.Reason == "" || Trusted(results) {
				t.Errorf("%+v", r)
			}
			for what, results := range map[string][]Result{"Install": m.Install(t.Context(), root, KindSystem), "Remove": m.Remove(t.Context(), root, KindSystem)} {
				if r := byName(t, results, "login keychain"); r.Err == nil {
					t.Errorf("%s passes for done: %+v", what, r)
				}
			}
			if len(f.changes()) != 0 && name != "settings" && name != "exports nothing" {
				t.Errorf("it was changed unread: %v", f.changes())
			}
		})
	}
}

// TestKeychainDamagedItem: what can be read is used.
func TestKeychainDamagedItem(t *testing.T) {
	root := newOwnRoot(t, "desk")
	f, m := newMac(t, 501, root)
	m.Install(t.Context(), root, KindSystem)
	f.says["find-certificate"] = "security/find-certificate-damaged"
	if r := byName(t, m.Status(t.Context(), root, KindSystem), "login keychain"); r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
	roots, err := m.Roots(t.Context(), KindSystem)
	if checkRoots(t, roots, root); err == nil {
		t.Error("there may be more that could not be read")
	}
}

func TestKeychainOfTheOther(t *testing.T) {
	root, ctx := newOwnRoot(t, "desk"), t.Context()
	f, m := newMac(t, 0, root)
	f.keychains[keychainStore{m, false}.Path()] = []*x509.Certificate{root}
	login := byName(t, m.Install(ctx, root), "login keychain")
	if login.Err != nil || !login.Skipped || login.State != StateUnused {
		t.Errorf("with sudo, the account's keychain is left alone: %+v", login)
	}
	if err := (keychainStore{m, false}).Remove(ctx, root); !errors.Is(err, ErrNotOwner) {
		t.Errorf("Remove must not pass for done: %v", err)
	}
	if err := (keychainStore{m, false}).Install(ctx, root); !errors.Is(err, ErrNotOwner) {
		t.Errorf("Install by root: %v", err)
	}

	f, m = newMac(t, 501, root)
	f.keychains[keychainStore{m, true}.Path()] = []*x509.Certificate{root}
	f.set[true][thumbprint(root)] = "trusted-ssl-basic"
	r := byName(t, m.Remove(ctx, root, KindSystem), "system keychain")
	if !errors.Is(r.Err, ErrNeedsRoot) || r.State != StateTrusted || !strings.Contains(r.Fix, "untrust --stores system") {
		t.Errorf("a System keychain that still trusts: %+v", r)
	}
	if err := (keychainStore{m, true}).Install(ctx, root); !errors.Is(err, ErrNeedsRoot) {
		t.Errorf("Install without root: %v", err)
	}
	if len(f.changes()) != 0 {
		t.Errorf("ran %v", f.changes())
	}
}

func TestKeychainMissing(t *testing.T) {
	root, ctx := newOwnRoot(t, "desk"), t.Context()
	_, m := newMac(t, 501, root)
	must(t, os.Remove(keychainStore{m, false}.Path()))
	r := byName(t, m.Status(ctx, root, KindSystem), "login keychain")
	if r.State != StateUnavailable || r.Fix == "" {
		t.Errorf("%+v", r)
	}
	must(t, os.Remove(keychainStore{m, true}.Path()))
	if r := byName(t, m.Status(ctx, root, KindSystem), "system keychain"); r.State != StateUnused {
		t.Errorf("%+v", r)
	}
	for _, r := range m.Remove(ctx, root, KindSystem) {
		if r.Err != nil {
			t.Errorf("nothing to remove: %+v", r)
		}
	}
}

// TestKeychainWaitsForThePerson, and not for a command that asks nobody.
func TestKeychainWaitsForThePerson(t *testing.T) {
	root := newOwnRoot(t, "desk")
	f, m := newMac(t, 501, root)
	must(t, byName(t, m.Install(t.Context(), root, KindSystem), "login keychain").Err)
	must(t, byName(t, m.Remove(t.Context(), root, KindSystem), "login keychain").Err)
	for command, want := range map[string]time.Duration{
		"add-trusted-cert": promptTimeout, "remove-trusted-cert": promptTimeout, "delete-certificate": promptTimeout,
		"find-certificate": commandTimeout, "trust-settings-export": commandTimeout,
	} {
		if got := f.limits[command]; got != want {
			t.Errorf("%s may take %s, want %s", command, got, want)
		}
	}
}
