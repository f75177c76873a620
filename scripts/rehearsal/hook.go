package rehearsal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The hook and the DNS server share a folder: a TXT record NAME VALUE is the empty file
// recordFolder/NAME/VALUE, so it is there or not, and never half written.
const (
	hookFile     = "hook.sh"
	callsFile    = "calls"
	recordFolder = "records"
)

const hook = `#!/bin/sh
# present|cleanup NAME VALUE: puts a TXT record into a test's DNS server, and takes it away.
set -eu
folder=$(dirname "$0")
name=$(printf %s "${2%.}" | tr A-Z a-z)
case $3 in *[!A-Za-z0-9_=-]*) echo "this is no answer to a challenge: $3" >&2; exit 1 ;; esac
case $1 in
present) mkdir -p "$folder/` + recordFolder + `/$name" && : >"$folder/` + recordFolder + `/$name/$3" ;;
cleanup) rm "$folder/` + recordFolder + `/$name/$3" ;;
*) echo "usage: $0 present|cleanup NAME VALUE" >&2; exit 2 ;;
esac
printf '%s\n' "$1 $2 $3" >>"$folder/` + callsFile + `"
`

// WriteHook writes a program that changes the DNS server's TXT records when it is called as
// `PROGRAM present NAME VALUE` and `PROGRAM cleanup NAME VALUE`, and returns its path.
func (a *Authority) WriteHook(t testing.TB) string {
	t.Helper()
	path := filepath.Join(a.zone.folder, hookFile)
	if err := os.WriteFile(path, []byte(hook), 0o700); err != nil {
		t.Fatalf("writing the DNS hook: %v", err)
	}
	return path
}

// HookCalls returns how the hook was called so far, such as "present NAME VALUE", without
// calls that failed.
func (a *Authority) HookCalls() []string {
	calls, err := os.ReadFile(filepath.Join(a.zone.folder, callsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.t.Fatalf("reading what the DNS hook did: %v", err)
	}
	return strings.FieldsFunc(string(calls), func(r rune) bool { return r == '\n' })
}
