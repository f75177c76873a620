package certs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestParseSubject(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, want := range map[string]string{
		"localhost": "localhost", "LocalHost.": "localhost", "a-1.test": "a-1.test", "1.test": "1.test",
		"*.app.test": "*.app.test", "*.Example.COM": "*.example.com", "xn--bcher-kva.test": "xn--bcher-kva.test",
		"127.0.0.1": "127.0.0.1", "::ffff:10.0.0.1": "10.0.0.1", "::1": "::1", "0:0::1": "::1", "fe80::1%eth0": "fe80::1",
		long + ".test": long + ".test",
	} {
		s, err := parseSubject(name)
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, error %v; want %q", name, s, err, want)
		}
	}
	for name, reason := range map[string]string{
		"": "is empty", ".": "is empty", "a..test": "two dots", ".test": "begins with a dot", "a.test..": "two dots",
		"-a.test": "hyphen", "a-.test": "hyphen", "a_b.test": "holds '_'", "a b": "holds ' '", "a\x00b": `holds '\x00'`,
		"bücher.test": "punycode", "컴퓨터.local": "punycode", "https://localhost": "alone", "localhost:8443": "alone", "[::1]": "holds '['",
		"*": "whole first label", "a.*.test": "whole first label", "*a.app.test": "whole first label", "*.*.app.test": "whole first label",
		"*.test": "browsers and OpenSSL refuse", "*.localhost": "refuse", "*.local.": "refuse", "*.home.arpa": "refuse",
		"*.": "whole first label", "127.1": "ends in a number", "1.2.3.4.5": "ends in a number", "256.1.1.1": "ends in a number",
		long + "a.test": "63 characters", strings.Repeat(long+".", 4) + "test": "253 characters", "10.0.0.0/8": "alone",
	} {
		_, err := parseSubject(name)
		var nameErr *NameError
		if !errors.As(err, &nameErr) || nameErr.Name != name || !strings.Contains(nameErr.Reason, reason) || nameErr.Outside {
			t.Errorf("%q: error %v, want a *NameError with %q", name, err, reason)
		}
	}
}

func TestNameErrorIsPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"": `"" no`, "a.test": "a.test no", "\x1b[2J": `"\x1b[2J" no`, "컴퓨터": "컴퓨터 no",
	} {
		if got := (&NameError{Name: name, Reason: "no"}).Error(); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestPermits(t *testing.T) {
	a := newTestAuthority(t, Options{Hostname: "Desk", Permit: []string{"example.com", "203.0.113.7", "198.51.100.9/24", "2001:db8::/32"}})
	for _, name := range []string{
		"localhost", "app.localhost", "phone.local", "local", "a.b.test", "x.internal", "nas.home.arpa", "router.lan", "desk", "desk.", "app.desk",
		"example.com", "www.example.com", "*.example.com", "*.app.local",
		"127.0.0.1", "127.255.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.5", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1%eth0",
		"::ffff:192.168.1.5", "203.0.113.7", "198.51.100.200", "2001:db8::1",
	} {
		if err := a.Permits(name); err != nil {
			t.Errorf("%v", err)
		}
	}
	for _, name := range []string{
		"accounts.google.com", "Accounts.Google.COM.", "com", "notexample.com", "evillocal", "evil-local", "localhost.com", "local.evil.org", "arpa", "arpa.home", "*.google.com",
		"8.8.8.8", "172.32.0.1", "192.169.0.1", "100.128.0.1", "203.0.113.8", "0.0.0.0", "::2", "fec0::1", "2001:db9::1", "::ffff:8.8.8.8",
	} {
		err := a.Permits(name)
		var nameErr *NameError
		if !errors.As(err, &nameErr) || nameErr.Name != name || !strings.Contains(nameErr.Reason, "is outside what this authority may sign for (") || !nameErr.Outside {
			t.Errorf("%q: error %v", name, err)
		}
		if _, err := a.Issue([]string{"localhost", name}); !errors.As(err, &nameErr) || nameErr.Name != name {
			t.Errorf("Issue for %q: error %v", name, err)
		}
	}
	want := "accounts.google.com is outside what this authority may sign for (localhost, test, local, internal, home.arpa, lan, desk, example.com, " +
		"and names below these)" // and no advice: what to do depends on who asks
	if err := a.Permits("accounts.google.com"); err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if err := a.Permits("*.test"); err == nil || !strings.Contains(err.Error(), "browsers and OpenSSL refuse") {
		t.Errorf("*.test: %v", err)
	}
}

// TestCheckNamesSaysWhatIssueSays, and makes nothing.
func TestCheckNamesSaysWhatIssueSays(t *testing.T) {
	for _, o := range []Options{{}, {Hostname: "desk", Permit: []string{"example.com"}}, {Unconstrained: true}} {
		a := newTestAuthority(t, o)
		for _, names := range [][]string{
			nil, {"localhost"}, {"localhost", "staus"}, {"desk"}, {"www.example.com"}, {"8.8.8.8"}, {"a_b.test"}, {"*.test"}, {"192.168.0.1", "*.app.test"},
		} {
			_, issueErr := a.Issue(names)
			err := CheckNames(names, o)
			if fmt.Sprint(err) != fmt.Sprint(issueErr) {
				t.Errorf("%v of %+v: CheckNames says %v, Issue says %v", names, o, err, issueErr)
			}
			var nameErr *NameError
			if err != nil && names != nil && !errors.As(err, &nameErr) {
				t.Errorf("%v: error %v, want a *NameError", names, err)
			}
		}
	}
	for _, o := range []Options{{Permit: []string{"example.com"}}, {Unconstrained: true}, {Hostname: "www.example.com"}} {
		if CheckNames([]string{"www.example.com"}, o) != nil || CheckNames([]string{"www.example.com"}, Options{}) == nil {
			t.Errorf("%+v should permit www.example.com, and no options should not", o)
		}
	}
	var nameErr *NameError
	if err := CheckNames([]string{"localhost"}, Options{Permit: []string{"com"}}); !errors.As(err, &nameErr) || nameErr.Name != "com" {
		t.Errorf("a bad Permit: error %v", err)
	}
}

// TestHostnameIsNotATopLevelDomain is for people who call their machine "dev".
func TestHostnameIsNotATopLevelDomain(t *testing.T) {
	for _, host := range []string{"dev", "com", "studio", "KR", "xn--3e0b707e", "내컴퓨터", "my_pc", ""} {
		c, err := newConstraints(Options{Hostname: host})
		if err != nil || len(c.dns) != 6 {
			t.Errorf("host name %q: permitted %v, error %v", host, c.dns, err)
		}
	}
	if c, err := newConstraints(Options{Hostname: "dev.home.example.org"}); err != nil || c.dns[6] != "dev.home.example.org" {
		t.Errorf("permitted %v, error %v", c.dns, err)
	}
}

func TestBadPermits(t *testing.T) {
	for permit, reason := range map[string]string{
		"com": "top-level domain", "dev": "top-level domain", "kr.": "top-level domain", "*.example.com": "Permit example.com", "*.test": "refuse",
		"": "is empty", "exa mple": "holds ' '", "10.0.0.0/33": "alone", "::ffff:10.0.0.0/104": "IPv4 range written as IPv6", "a.test:1": "alone",
	} {
		_, err := newConstraints(Options{Permit: []string{"example.org", permit}})
		var nameErr *NameError
		if !errors.As(err, &nameErr) || nameErr.Name != permit || !strings.Contains(nameErr.Reason, reason) {
			t.Errorf("%q: error %v, want %q", permit, err, reason)
		}
	}
}

// TestValidateSaysWhatReplaceSays, without a store.
func TestValidateSaysWhatReplaceSays(t *testing.T) {
	dir, root := newStore(t)
	for _, o := range []Options{
		{},
		{Hostname: "not a name", Permit: []string{"example.org", "203.0.113.0/24"}},
		{Permit: []string{"no name"}, Unconstrained: true}, // which permits every name
		{Permit: []string{"example.org", "no name"}},
		{Permit: []string{"com"}},
	} {
		a, err := Replace(dir, root, o)
		if a != nil {
			root = a.Root()
		}
		said := o.Validate()
		var nameErr *NameError
		if fmt.Sprint(said) != fmt.Sprint(err) || said != nil && !errors.As(said, &nameErr) {
			t.Errorf("%+v: %v; and Replace says %v", o, said, err)
		}
	}
	if (Options{Permit: []string{"no name"}}).Validate() == nil {
		t.Error("no name is one")
	}
}

// TestTopLevelDomains holds the list to the one that Debian ships.
func TestTopLevelDomains(t *testing.T) {
	data, err := os.ReadFile("/usr/share/publicsuffix/public_suffix_list.dat")
	if err != nil {
		needTool(t, "publicsuffix", err)
	}
	public := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		public[strings.TrimSpace(line)] = true
	}
	seen := map[string]bool{}
	for _, tld := range strings.Fields(publicTLDs) {
		if !public[tld] || len(tld) == 2 || seen[tld] {
			t.Errorf("%q is not a top-level domain, is covered otherwise, or is listed twice", tld)
		}
		seen[tld] = true
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, name := range []string{"localhost", "*.a.test", "fe80::1%eth0", "::ffff:1.2.3.4", "a..b", "*.test.", "\x00", "127.1", "é.local"} {
		f.Add(name)
	}
	c, err := newConstraints(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, err := parseSubject(name)
		if err != nil {
			var nameErr *NameError
			if !errors.As(err, &nameErr) || nameErr.Reason == "" {
				t.Fatalf("error %v, want a *NameError", err)
			}
			return
		}
		if again, err := parseSubject(s.String()); err != nil || again != s {
			t.Fatalf("%q became %q, which became %q (error %v)", name, s, again, err)
		}
		if s.ip.IsValid() && (s.ip.Zone() != "" || s.ip.Is4In6()) {
			t.Fatalf("%q kept its zone or mapping: %v", name, s.ip)
		}
		if c.check(s) == nil && !s.ip.IsValid() && !strings.HasSuffix("."+s.dns, ".localhost") && !hasDefaultSuffix(s.dns) {
			t.Fatalf("%q was permitted as %q", name, s)
		}
	})
}

func hasDefaultSuffix(name string) bool {
	for _, suffix := range []string{".test", ".local", ".internal", ".home.arpa", ".lan"} {
		if strings.HasSuffix("."+name, suffix) {
			return true
		}
	}
	return false
}

func FuzzPermit(f *testing.F) {
	for _, permit := range []string{"example.com", "10.0.0.0/8", "::/0", "1.2.3.4", "fe80::1%a/64", "*.a.b"} {
		f.Add(permit)
	}
	f.Fuzz(func(t *testing.T, permit string) {
		var c constraints
		if c.permit(permit) != nil {
			return
		}
		for _, prefix := range c.ips {
			if prefix != prefix.Masked() || prefix.Addr().Is4In6() || !prefix.Contains(prefix.Addr()) || prefix.Addr() == (netip.Addr{}) {
				t.Fatalf("%q became %v", permit, prefix)
			}
		}
		if len(c.ips)+len(c.dns) != 1 {
			t.Fatalf("%q became %v and %v", permit, c.ips, c.dns)
		}
	})
}
