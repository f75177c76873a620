package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// javaEntry is one entry of a keystore.
type javaEntry struct {
	alias   string
	trusted bool     // a trustedCertEntry: the others hold keys, and their certificates are trusted for nothing
	certs   [][]byte // in DER; a trusted entry has one
}

// holds reports whether the entry makes Java trust exactly root.
func (e javaEntry) holds(root *x509.Certificate) bool {
	return e.trusted && slices.ContainsFunc(e.certs, func(der []byte) bool { return bytes.Equal(der, root.Raw) })
}

// ours returns the root when Install put it in, and otherwise nil.
func (e javaEntry) ours() *x509.Certificate {
	if !e.trusted || len(e.certs) != 1 {
		return nil
	}
	if cert, err := x509.ParseCertificate(e.certs[0]); err == nil && javaOurs(e.alias, cert) {
		return cert
	}
	return nil
}

// list reads every entry of a keystore. A pipe in its place is not waited for.
func (s javaStore) list(ctx context.Context, file string) ([]javaEntry, error) {
	// keytool's word for a file that it may not open is not told from others below.
	if _, err := readSmall(file, 0); err != nil {
		return nil, fault(s.m.listing(file), "reading the keystore of Java: %w", err)
	}
	out, err := s.run(ctx, file, "-list", "-rfc")
	if err != nil {
		return nil, err
	}
	entries, err := parseKeystore(out)
	if err != nil {
		return nil, fmt.Errorf("reading %s with %s: %w", s.file, s.keytool, err)
	}
	return entries, nil
}

// parseKeystore reads what keytool -list -rfc prints in English: a count, and for
// each entry its name, its type and its certificates in PEM. An answer in another
// form is an error: it must not pass for an empty keystore.
func parseKeystore(out string) ([]javaEntry, error) {
	count := -1
	var entries []javaEntry
	var block strings.Builder
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if words := strings.Fields(line); count < 0 && strings.HasPrefix(line, "Your keystore contains ") && len(words) == 5 {
			if n, err := strconv.Atoi(words[3]); err == nil {
				count = n
			}
		}
		if alias, ok := strings.CutPrefix(line, "Alias name: "); ok {
			entries = append(entries, javaEntry{alias: alias})
			block.Reset()
		}
		if len(entries) == 0 {
			continue
		}
		e := &entries[len(entries)-1]
		if kind, ok := strings.CutPrefix(line, "Entry type: "); ok {
			e.trusted = kind == "trustedCertEntry"
		}
		if line == "-----BEGIN CERTIFICATE-----" {
			block.Reset()
		}
		block.WriteString(line + "\n")
		if line == "-----END CERTIFICATE-----" {
			if found, _ := pem.Decode([]byte(block.String())); found != nil {
				e.certs = append(e.certs, found.Bytes)
			}
		}
	}
	if count != len(entries) {
		return nil, fmt.Errorf("its answer is not understood: it names %d entries and shows %d", count, len(entries))
	}
	return entries, nil
}

// run runs one keytool command on a keystore, this one or a copy of it, and
// names what went wrong. keytool prints its errors to stdout.
func (s javaStore) run(ctx context.Context, file string, command ...string) (string, error) {
	if s.keytool == "" {
		return "", missingKeytool(s.file)
	}
	if err := s.m.guarded(s.keytool); err != nil {
		return "", fmt.Errorf("running %s: %w", s.keytool, err)
	}
	// The messages are read below. The others halve the time of so short a run.
	args := append([]string{"-J-Duser.language=en", "-J-XX:+IgnoreUnrecognizedVMOptions", "-J-XX:TieredStopAtLevel=1"}, command...)
	out, _, err := s.m.output(ctx, s.keytool, append(args, "-keystore", file, "-storepass", javaPassword)...)
	if err == nil {
		return out, nil
	}
	const what = "using the keystore %s: %w"
	said := ""
	if _, after, ok := strings.Cut(out, "keytool error: "); ok {
		said, _, _ = strings.Cut(after, "\n")
	}
	switch {
	case errors.Is(err, ErrTimeout):
		return "", fault(s.command("-list"), what, s.file, err)
	case strings.Contains(said, "password was incorrect"):
		return "", fault(s.command("-list"), what, s.file, ErrPassword)
	case said != "" && command[0] == "-list":
		return "", fault("reinstall this Java, or the package that its keystore is from", what+": keytool says %s", s.file, ErrDatabase, oneLine(said))
	case said != "":
		return "", fmt.Errorf(what+": keytool says %s", s.file, err, oneLine(said))
	}
	return "", fmt.Errorf(what, s.file, err)
}
