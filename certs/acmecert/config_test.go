package acmecert

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hookFile is a program that can be run.
func hookFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNames(t *testing.T) {
	const internal = "https://ca.internal/acme/directory"
	hook := hookFile(t)
	for _, c := range []struct {
		name, directory, hook string
		want, says            string // one of them
	}{
		{"call.example.com", "", "", "call.example.com", ""},
		{"Call.Example.COM.", "", "", "call.example.com", ""},
		{"통화.example.com", "", "", "xn--hz7bo8f.example.com", ""},
		{"*.example.com", "", hook, "*.example.com", ""},
		{"*.example.com", "", "", "", "--dns-hook"},
		{"93.184.216.34", "", "", "93.184.216.34", ""},
		{"[2001:db8::1]", internal, "", "2001:db8::1", ""},
		{"93.184.216.34", "", hook, "", "addresses are not checked by the DNS"},
		{"192.168.0.10", "", "", "", "of your own network"},
		{"192.168.0.10", internal, "", "192.168.0.10", ""},
		{"127.0.0.1", LetsEncryptStaging, "", "", "of your own network"},
		{"169.254.1.1", "", "", "", "of your own network"},
		{"100.64.1.1", "", "", "", "of your own network"},
		{"::1", "", "", "", "of your own network"},
		{"fd00::1", "", "", "", "of your own network"},
		{"0.0.0.0", internal, "", "", "no address of a machine"},
		{"localhost", "", "", "", "of your own network"},
		{"app.localhost", "", "", "", "of your own network"},
		{"laptop.local", "", "", "", "of your own network"},
		{"laptop.local", internal, "", "laptop.local", ""},
		{"cam.home.arpa", "", "", "", "of your own network"},
		{"a.internal", "", "", "", "of your own network"},
		{"a.test", "", "", "", "of your own network"},
		{"a.lan", "", "", "", "of your own network"},
		{"laptop", "", "", "", "of your own network"},
		{"laptop", internal, "", "laptop", ""},
		{"https://call.example.com/", "", "", "", "is not a host name"},
		{"call.example.com:8443", "", "", "", "is not a host name"},
		{"call example.com", "", "", "", "is not a host name"},
		{"call..example.com", "", "", "", "is not a host name"},
		{"-call.example.com\x1b[31m", "", "", "", "is not a host name"},
		{"a_b.example.com", "", "", "", "is not a host name"},
		{"*.*.example.com", "", hook, "", "is not a host name"},
		{"", "", "", "", "is not a host name"},
		{strings.Repeat("a", 64) + ".com", "", "", "", "is not a host name"},
		{strings.Repeat("abcdefgh.", 30) + "com", "", "", "", "is not a host name"},
	} {
		got, err := Config{Names: []string{c.name}, Directory: c.directory, DNSHook: c.hook}.checked()
		switch {
		case c.says == "" && (err != nil || !slices.Equal(got.Names, []string{c.want})):
			t.Errorf("%q: got %q, %v, want %q", c.name, got.Names, err, c.want)
		case c.says != "" && (err == nil || !strings.Contains(err.Error()+err.(*Problem).Fix, c.says)):
			t.Errorf("%q: got %q, %v, want %q", c.name, got.Names, err, c.says)
		case err != nil && strings.Contains(err.Error(), "\x1b"):
			t.Errorf("%q would be obeyed by a terminal", err)
		}
	}
	got, err := Config{Names: []string{"a.example.com", "A.example.com", "b.example.com"}}.checked()
	if err != nil || !slices.Equal(got.Names, []string{"a.example.com", "b.example.com"}) {
		t.Errorf("got %q, %v", got.Names, err)
	}
}

func TestSettings(t *testing.T) {
	hook := hookFile(t)
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no names":         {func(c *Config) { c.Names = nil }, "needs a name"},
		"no address":       {func(c *Config) { c.Email = "kim" }, "not an e-mail address"},
		"a name besides":   {func(c *Config) { c.Email = "Kim <kim@company.kr>" }, "not an e-mail address"},
		"two addresses":    {func(c *Config) { c.Email = "kim@company.kr,lee@company.kr" }, "not an e-mail address"},
		"a header":         {func(c *Config) { c.Email = "kim@company.kr?subject=x" }, "not an e-mail address"},
		"a local address":  {func(c *Config) { c.Email = "root@localhost" }, "not an e-mail address"},
		"nobody's address": {func(c *Config) { c.Email = "me@Example.com" }, "is for examples"},
		"no https":         {func(c *Config) { c.Directory = "http://ca.internal/directory" }, "https address"},
		"no URL":           {func(c *Config) { c.Directory = "ca.internal" }, "https address"},
		"no such check":    {func(c *Config) { c.Challenge = "mail-01" }, "no way to check a name"},
		"dns-01 alone":     {func(c *Config) { c.Challenge = DNS01 }, "belong together"},
		"two checks":       {func(c *Config) { c.Challenge, c.DNSHook = HTTP01, hook }, "belong together"},
		"no such program":  {func(c *Config) { c.DNSHook = hook + ".none" }, "cannot be run"},
		"not a program":    {func(c *Config) { c.DNSHook = filepath.Dir(hook) }, "cannot be run"},
		"port":             {func(c *Config) { c.HTTPPort = 65536 }, "no port"},
		"listen":           {func(c *Config) { c.ListenHost = "here" }, "not an IP address"},
		"resolver":         {func(c *Config) { c.Resolvers = []string{"dns.example.com"} }, "DNS server"},
		"half a copy":      {func(c *Config) { c.CertFile = "cert.pem" }, "without its key"},
		"a copy for two":   {func(c *Config) { c.CertFile, c.KeyFile, c.Names = "c", "k", []string{"a.example.com", "b.example.com"} }, "room for one"},
		"one file":         {func(c *Config) { c.CertFile, c.KeyFile = "c", "c" }, "two files"},
		"no folder there":  {func(c *Config) { c.CertFile, c.KeyFile = filepath.Join(hook, "c"), "k" }, "cannot be written"},
		"a folder":         {func(c *Config) { c.CertFile, c.KeyFile = filepath.Dir(hook), "k" }, "is not a file"},
	} {
		cfg := Config{Names: []string{"call.example.com"}, Folder: filepath.Join(t.TempDir(), "acme")}
		c.change(&cfg)
		_, err := New(cfg)
		var p *Problem
		if !errors.As(err, &p) || !strings.Contains(p.Error(), c.says) || p.Fix == "" {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

func TestResolvers(t *testing.T) {
	cfg, err := Config{Names: []string{"call.example.com"}, Resolvers: []string{"192.168.0.1", "fd00::1", "[fd00::1]:5353", "10.0.0.1:53"}}.checked()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"192.168.0.1:53", "[fd00::1]:53", "[fd00::1]:5353", "10.0.0.1:53"}; !slices.Equal(cfg.Resolvers, want) {
		t.Errorf("got %q", cfg.Resolvers)
	}
}

func TestPause(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		failures int
		problem  Problem
		want     time.Duration
	}{
		{0, Problem{Kind: NoAuthority}, 2 * time.Second},
		{3, Problem{Kind: NoAuthority}, 16 * time.Second},
		{99, Problem{Kind: NoAuthority}, 10 * time.Minute},
		{0, Problem{Kind: WrongAnswer}, time.Minute},
		{1, Problem{Kind: WrongAnswer}, 4 * time.Minute},
		{9, Problem{Kind: WrongAnswer}, time.Hour},
		{99, Problem{Kind: WrongAnswer}, 6 * time.Hour},
		{0, Problem{Kind: NoAuthority, Until: now.Add(time.Hour)}, time.Hour + time.Second},
		{0, Problem{Kind: RateLimited}, time.Hour},
		{0, Problem{Kind: RateLimited, Until: now.Add(2 * time.Hour)}, 2*time.Hour + time.Second},
		{0, Problem{Kind: RateLimited, Until: now.Add(-time.Hour)}, time.Minute},
		{0, Problem{Kind: RateLimited, Until: now.Add(999 * time.Hour)}, 7 * 24 * time.Hour},
	} {
		if got := pause(c.failures, &c.problem, now); got != c.want {
			t.Errorf("after %d and %s: %v, want %v", c.failures, c.problem.Kind, got, c.want)
		}
	}
	// Five failed checks of a name in an hour are what Let's Encrypt allows.
	var waited time.Duration
	checks := 0
	for waited < time.Hour {
		waited += pause(checks, &Problem{Kind: NotReached}, now)
		checks++
	}
	if checks > 5 {
		t.Errorf("%d checks in an hour", checks)
	}
}

func TestLookInterval(t *testing.T) {
	for life, want := range map[time.Duration]time.Duration{
		90 * 24 * time.Hour: 10 * time.Minute, 24 * time.Hour: 10 * time.Minute, 5 * time.Minute: 5 * time.Second, 0: time.Second,
	} {
		if got := lookInterval(life); got != want {
			t.Errorf("%v: %v, want %v", life, got, want)
		}
	}
}
