//go:build unix

package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rtcdev/certs"
)

var updateMatrix = flag.Bool("update-matrix", false, "write the table of TestTrustMatrix to README.md")

// verdict is what a client makes of a certificate.
type verdict int

const (
	accepted verdict = iota // it got the page
	outside                 // the authority may not speak for one of the names
	misnamed                // it is for another name than the client asked for
	unknown                 // the client does not trust the authority
)

// matrixRow is a server that every client visits.
type matrixRow struct {
	label  string   // for the table, in Markdown
	host   string   // what it is reached as
	names  []string // in its certificate
	stolen bool     // signed with the stolen key, not by the authority itself
	want   verdict
}

func matrixRows(hostname string) []matrixRow {
	var rows []matrixRow
	own := func(label string, hosts ...string) {
		for _, host := range hosts {
			rows = append(rows, matrixRow{label: fmt.Sprintf(label, host), host: host, names: []string{host}})
		}
	}
	stolen := func(label string, want verdict, names ...string) {
		rows = append(rows, matrixRow{label: label + ", stolen key", host: names[0], names: names, stolen: true, want: want})
	}
	own("`%s`", "localhost", "app.localhost", "phone.local", "app.test")
	rows = append(rows, matrixRow{label: "`a.app.test`, for `*.app.test`", host: "a.app.test", names: []string{"*.app.test"}})
	own("`%s`", "build.internal", "nas.home.arpa", "printer.lan")
	own("the machine's own name%.0s", hostname)
	own("`%s`", "127.0.0.1", "::1", "10.1.2.3", "172.16.5.4", "192.168.1.20", "169.254.10.20", "100.64.0.7", "fd12:3456::1", "fe80::1")
	stolen("`localhost`", accepted, "localhost")
	for _, host := range []string{"accounts.google.com", "example.com", "evillocal", "localhost.example.com", "8.8.8.8", "172.32.0.1", "2001:4860:4860::8888"} {
		stolen("`"+host+"`", outside, host)
	}
	stolen("`localhost`, for it and `example.com`", outside, "localhost", "example.com")
	return append(rows,
		matrixRow{label: "`phone.local`, for `localhost`", host: "phone.local", names: []string{"localhost"}, want: misnamed},
		matrixRow{label: "`10.1.2.3`, for `127.0.0.1`", host: "10.1.2.3", names: []string{"127.0.0.1"}, want: misnamed},
		matrixRow{label: "`localhost`, root not trusted", host: "localhost", names: []string{"localhost"}, want: unknown})
}

// Every cell is a real client in a real handshake, and its own word for the
// outcome: a page that did not come for another reason is no refusal.
func TestTrustMatrix(t *testing.T) {
	clients := matrixClients()
	for _, c := range clients {
		for program, debianPackage := range c.tools {
			need(t, program, debianPackage)
		}
	}
	m := newMatrix(t)
	t.Run("clients", func(t *testing.T) {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				m.visit(t, c)
			})
		}
	})
	if len(m.cells) < len(clients) {
		return // -run chose some of them
	}
	table := m.table(clients)
	t.Logf("\n%s", table)
	if t.Failed() {
		return
	}
	checkReadme(t, table, func() string {
		var versions []string
		for _, c := range clients {
			versions = append(versions, c.name+" "+c.versionOf(t))
		}
		return strings.Join(versions, ", ")
	})
}

// matrix is what every client is shown, and what came of it.
type matrix struct {
	rows      []matrixRow
	pairs     []*tls.Certificate // by row
	authority *matrixAuthority
	other     *matrixAuthority // which nobody has to do with

	mu    sync.Mutex
	cells map[string][]string // by client, then by row: yes, no, or ? for another outcome than the row's
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	hostname := matrixHostname()
	m := &matrix{rows: matrixRows(hostname), cells: map[string][]string{}}
	m.authority, m.other = newMatrixAuthority(t, hostname), newMatrixAuthority(t, hostname)
	for _, r := range m.rows {
		pair, err := m.authority.Issue(r.names)
		var refused *certs.NameError
		if r.want == outside {
			if !errors.As(err, &refused) || !refused.Outside {
				t.Errorf("%s: the authority itself signs it, or fails with another error: %v", r.label, err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		if r.stolen {
			pair = m.authority.forge(t, r.names)
		}
		m.pairs = append(m.pairs, pair)
	}
	return m
}

// matrixHostname is this machine's name, or another where an authority would not
// speak for it.
func matrixHostname() string {
	name, err := os.Hostname()
	name = strings.ToLower(name)
	if err != nil || certs.CheckNames([]string{name}, certs.Options{Hostname: name}) != nil {
		return "matrix-host"
	}
	return name
}

// visit has one client visit all rows, with the root, and those that are to fail
// for want of it with another root in its place.
func (m *matrix) visit(t *testing.T, c matrixClient) {
	cells := make([]string, len(m.rows))
	for _, trusted := range []*matrixAuthority{m.authority, m.other} {
		var sites []*site
		var at []int // the row of each
		for i, r := range m.rows {
			if (r.want == unknown) == (trusted == m.other) {
				sites, at = append(sites, newSite(t, r.host, m.pairs[i])), append(at, i)
			}
		}
		for j, said := range c.visit(t, trusted.Root(), sites) {
			cells[at[j]] = c.judge(t, m.rows[at[j]], sites[j], said)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cells[c.name] = cells
}

// judge reads what the client said of a site: yes if that is the page, no if it
// is the reason that the row wants.
func (c matrixClient) judge(t *testing.T, r matrixRow, s *site, said string) string {
	t.Helper()
	if err := s.visited(); err != nil {
		t.Errorf("%s: %v; the client says: %s", r.label, err, said)
	}
	wanted := c.words[r.want]
	if r.want == accepted {
		wanted = s.secret
	}
	if !strings.Contains(said, wanted) {
		t.Errorf("%s: the client was to say %q, and says: %s", r.label, wanted, said)
		return "?"
	}
	if r.want == accepted {
		return "yes"
	}
	if strings.Contains(said, s.secret) {
		t.Errorf("%s: the client refuses, and shows the page: %s", r.label, said)
	}
	return "no"
}

// table is the matrix in Markdown.
func (m *matrix) table(clients []matrixClient) string {
	var b strings.Builder
	b.WriteString("| reached as |")
	for _, c := range clients {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(clients)) + "\n")
	for i, r := range m.rows {
		b.WriteString("| " + r.label + " |")
		for _, c := range clients {
			b.WriteString(" " + m.cells[c.name][i] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// checkReadme compares the README's table with the one that came out. With the
// flag it writes that, and the versions below it, which may differ.
func checkReadme(t *testing.T, table string, versions func() string) {
	t.Helper()
	const begin, end = "<!-- the table of TestTrustMatrix -->\n", "<!-- its end -->\n"
	file := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	shown, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md has no place for the table: it goes between %q and %q", begin, end)
	}
	if *updateMatrix {
		shown = table + "\nLast seen with " + versions() + ".\n"
		if err := os.WriteFile(file, []byte(before+begin+shown+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(shown, table+"\n") {
		t.Errorf("README.md shows another table:\n%s\nto write this one: go test ./cmd/rtcdev -run TestTrustMatrix -update-matrix", shown)
	}
}
