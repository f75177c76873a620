package trust

// NodeSetting returns the shell command that makes programs of Node.js accept the
// root in rootFile (PEM), or "" when there is no node on this machine. Node.js
// reads no store by itself, only this variable, when it starts:
// https://nodejs.org/api/cli.html#node_extra_ca_certsfile
func (m Machine) NodeSetting(rootFile string) string {
	if _, err := m.LookPath("node"); err != nil {
		return ""
	}
	if m.OS == "windows" {
		return "setx NODE_EXTRA_CA_CERTS " + quote(m.OS, rootFile) // for new terminals
	}
	return "export NODE_EXTRA_CA_CERTS=" + quote(m.OS, rootFile)
}
