package trust

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func TestParseListing(t *testing.T) {
	root, other := newOwnRoot(t, "desk"), newOwnRoot(t, "책상")
	a, b := hex.EncodeToString(root.Raw), strings.ToUpper(hex.EncodeToString(other.Raw))
	out := "noise from a profile {\r\nrtcdev{\r\nRoot:\r\n" + a + "\r\n;\r\nDisallowed:\r\n" + b + "\r\n;\r\nRoot:\r\n" + b + "\r\n;\r\n}\r\n; more}"
	for name, encode := range encodings() {
		trusted, distrusted, err := parseListing(string(encode(out)))
		if err != nil || len(trusted) != 2 || len(distrusted) != 1 || string(trusted[0]) != string(root.Raw) || string(distrusted[0]) != string(other.Raw) {
			t.Errorf("%s: %d, %d, %v", name, len(trusted), len(distrusted), err)
		}
	}
	if trusted, distrusted, err := parseListing("rtcdev{}"); err != nil || len(trusted)+len(distrusted) != 0 {
		t.Errorf("an empty list: %v", err)
	}
	for _, bad := range []string{"", "rtcdev{", "rtcdev{Root:" + a, "}rtcdev{", "rtcdev{Root:xy;}", "rtcdev{Root:;}", "rtcdev{Root:123;}", "rtcdev{Elsewhere:00;}", "rtcdev{Root;}"} {
		if trusted, _, err := parseListing(bad); err == nil || trusted != nil {
			t.Errorf("%q: %d, %v", bad, len(trusted), err)
		}
	}
}

func TestParseResult(t *testing.T) {
	for out, want := range map[string]uint32{"rtcdev{00000000}\r\n": 0, "x rtcdev{800704c7}": 0x800704c7, "rtcdev{8007\r\n04C7}": 0x800704c7} {
		if code, err := parseResult(out); err != nil || code != want {
			t.Errorf("%q: %x, %v", out, code, err)
		}
	}
	for _, bad := range []string{"", "0", "rtcdev{}", "rtcdev{-1}", "rtcdev{1800704c7}", "rtcdev{0"} {
		if code, err := parseResult(bad); err == nil {
			t.Errorf("%q: %x", bad, code)
		}
	}
}

func TestHresult(t *testing.T) {
	for _, test := range []struct {
		said string
		err  error
		want uint32
	}{
		{"", nil, 0},
		{"CertUtil: -addstore command FAILED: 0x800704c7 (WIN32: 1223)", nil, 0}, // it did not fail
		{"", ended(0x800704c7), 0x800704c7},
		{"", ended(-2147023673), 0x800704c7}, // where an int has 32 bits
		{"serial 0x8000000000000001, FAILED: 0x800704C7 (x)", ended(0xc7), 0x800704c7},
		{"no number", ended(1), 0},
		{"0x800704c7", errors.New("exec format error"), 0},
	} {
		if got := hresult(test.said, test.err); got != test.want {
			t.Errorf("%q, %v: %x, want %x", test.said, test.err, got, test.want)
		}
	}
}

func FuzzParseListing(f *testing.F) {
	for _, seed := range []string{"rtcdev{Root:3000;Disallowed:31;}", "rtcdev{\r\nRoot:\r\n30", "\xff\xfer\x00t\x00c\x00d\x00e\x00v\x00{\x00}\x00", "rtcdev{;;}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, out string) {
		trusted, distrusted, err := parseListing(out)
		if err != nil && len(trusted)+len(distrusted) != 0 {
			t.Error("certificates and an error")
		}
		again := "rtcdev{"
		for _, der := range trusted {
			if len(der) == 0 {
				t.Error("an empty certificate")
			}
			again += "Root:" + hex.EncodeToString(der) + ";"
		}
		if repeated, _, err := parseListing(again + "}"); err != nil || len(repeated) != len(trusted) {
			t.Errorf("%d certificates become %d: %v", len(trusted), len(repeated), err)
		}
		_, _ = parseResult(out)
		_ = hresult(out, ended(1))
	})
}

func FuzzPEMBlocks(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("# a comment\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n-----BEGIN"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, root := range rootsOfOurs(pemBlocks(data)) {
			if !madeByUs(root) {
				t.Error("a root that is not ours")
			}
		}
	})
}
