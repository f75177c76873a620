package devserver

import "testing"

func TestScriptNonce(t *testing.T) {
	const host = "localhost:8443"
	for _, tt := range []struct {
		policies []string
		nonce    string
		ok       bool
	}{
		{nil, "", true},
		{[]string{""}, "", true},
		{[]string{"frame-ancestors 'self'"}, "", true},
		{[]string{"default-src 'self'"}, "", true},
		{[]string{"DEFAULT-SRC 'Self'"}, "", true},
		{[]string{"default-src 'none'"}, "", false},
		{[]string{"default-src"}, "", false},
		{[]string{"default-src 'none'; script-src 'self'"}, "", true},
		{[]string{"script-src 'none'; script-src-elem 'self'"}, "", true},
		{[]string{"script-src 'self'; script-src-elem 'none'"}, "", false},
		{[]string{"script-src 'none'; script-src 'self'"}, "", false},
		{[]string{"script-src *"}, "", true},
		{[]string{"script-src https:"}, "", true},
		{[]string{"script-src http:"}, "", false},
		{[]string{"script-src 'unsafe-inline'"}, "", false},
		{[]string{"script-src 'sha256-abc='"}, "", false},
		{[]string{"script-src localhost:8443"}, "", true},
		{[]string{"script-src https://LOCALHOST:8443"}, "", true},
		{[]string{"script-src https://localhost:8443/_rtcdev/"}, "", true},
		{[]string{"script-src https://localhost:8443/_rtcdev/inject.js"}, "", true},
		{[]string{"script-src https://localhost:8443/js/"}, "", false},
		{[]string{"script-src https://cdn.example"}, "", false},
		{[]string{"script-src 'nonce-AbC='"}, "AbC=", true},
		{[]string{"script-src 'NONCE-AbC='"}, "AbC=", true},
		{[]string{"script-src 'nonce-'"}, "", false},
		{[]string{"script-src 'nonce-AbC=' 'self'"}, "", true},
		{[]string{"script-src 'nonce-AbC=' 'self' 'strict-dynamic'"}, "AbC=", true},
		{[]string{"script-src 'self' 'strict-dynamic'"}, "", false},
		{[]string{"default-src 'self'", "script-src 'nonce-a'"}, "a", true},
		{[]string{"default-src 'self', script-src 'nonce-a'"}, "a", true},
		{[]string{"script-src 'nonce-a'", "script-src 'nonce-b' 'nonce-a'"}, "a", true},
		{[]string{"script-src 'nonce-a' 'nonce-b'", "script-src 'nonce-b'"}, "b", true},
		{[]string{"script-src 'nonce-a'", "script-src 'nonce-b'"}, "", false},
		{[]string{"script-src 'nonce-a'", "default-src 'none'"}, "", false},
		{[]string{"sandbox"}, "", false},
		{[]string{"sandbox allow-forms; script-src 'nonce-a'"}, "", false},
		{[]string{"sandbox allow-scripts allow-same-origin"}, "", true},
	} {
		nonce, ok := scriptNonce(tt.policies, host)
		if nonce != tt.nonce || ok != tt.ok {
			t.Errorf("%q: %q %v, want %q %v", tt.policies, nonce, ok, tt.nonce, tt.ok)
		}
	}
}
