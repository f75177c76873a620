package trust

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNodeSetting runs what it says, in a shell, with a file name that needs quotes.
func TestNodeSetting(t *testing.T) {
	need(t, "node", "nodejs")
	m, root := testMachine(t), newRoot(t)
	file := t.TempDir() + "/it's a root.pem"
	must(t, os.WriteFile(file, pemBytes(root.cert), 0o644))
	connect := `require("https").get("` + root.serve(t) + `", r => r.pipe(process.stdout)).on("error", e => console.log(e.code))`
	for setting, want := range map[string]string{"true": "UNABLE_TO_VERIFY_LEAF_SIGNATURE", m.NodeSetting(file): greeting} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", setting+` && node -e "$1"`, "sh", connect).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", setting, err, out)
		}
	}
	m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	if got := m.NodeSetting(file); got != "" {
		t.Errorf("without node: %q", got)
	}
	m.OS, m.LookPath = "windows", func(string) (string, error) { return `C:\node.exe`, nil }
	if got := m.NodeSetting(`C:\my files\root.pem`); got != `setx NODE_EXTRA_CA_CERTS "C:\my files\root.pem"` {
		t.Error(got)
	}
}
