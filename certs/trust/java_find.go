package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// javaStores returns the keystores of the Java that JAVA_HOME names and of the
// java on PATH, each file once: distributions let several Javas share one.
func (m Machine) javaStores() []Store {
	homes := m.javaHomes()
	var stores []Store
	for _, home := range homes {
		file := m.javaRoots(home)
		if file == "" || slices.ContainsFunc(stores, func(s Store) bool { return s.Path() == file }) {
			continue
		}
		stores = append(stores, javaStore{m: m, name: m.tilde(home), keytool: m.keytoolOf(home), file: file})
	}
	if len(stores) == 0 && slices.Contains(m.asked, KindJava) {
		return []Store{noStore{m, KindJava, m.noJava(homes)}}
	}
	return stores
}

// noJava says why there is no store of a Java.
func (m Machine) noJava(homes []string) error {
	const fix = "JAVA_HOME must be the folder of the Java that you use"
	if len(homes) == 0 {
		return fault(fix, "looking for Java in JAVA_HOME and PATH: %w", ErrToolMissing)
	}
	return fault(fix, "looking for lib/security/cacerts in %s: %w", strings.Join(homes, " and in "), ErrToolMissing)
}

// javaAt is a keystore that the journal knows. It is worked on with the keytool
// of a Java that is found today, never with one beside the keystore: whoever can
// write the journal must not choose what root runs.
func (m Machine) javaAt(file string) Store {
	s := javaStore{m: m, name: m.tilde(file), file: file}
	for _, home := range m.javaHomes() {
		if s.keytool == "" {
			s.keytool = m.keytoolOf(home)
		}
	}
	return s
}

// javaHomes returns the folders of the Javas that this account uses. A program
// named java that starts one elsewhere (asdf, jenv) is not followed.
func (m Machine) javaHomes() []string {
	var homes []string
	if m.JavaHome != "" {
		homes = append(homes, filepath.Join(m.Root, m.JavaHome))
	}
	program, err := m.LookPath("java")
	if err != nil {
		return homes
	}
	if m.OS == "darwin" && program == "/usr/bin/java" { // it only starts the Java that java_home(1) names
		if home := m.macJavaHome(); home != "" && m.JavaHome == "" {
			homes = append(homes, filepath.Join(m.Root, home))
		}
		return homes
	}
	if program = m.resolved(filepath.Join(m.Root, program)); program != "" {
		homes = append(homes, filepath.Dir(filepath.Dir(program)))
	}
	return homes
}

// macJavaHomeTimeout is for a program that answers within milliseconds. Stores has
// no context with which a caller could end the wait.
const macJavaHomeTimeout = 2 * time.Second

// macJavaHome asks macOS for its Java, "" when it has none or does not answer.
func (m Machine) macJavaHome() string {
	m.Timeout = min(m.timeout(), macJavaHomeTimeout)
	out, _, err := m.output(context.Background(), "/usr/libexec/java_home")
	if home := strings.TrimSpace(out); err == nil && filepath.IsAbs(home) {
		return home
	}
	return ""
}

// javaRoots returns the keystore that the programs of a Java trust, links
// followed, or "". jssecacerts is read instead of cacerts when it is there:
// https://docs.oracle.com/en/java/javase/21/security/java-secure-socket-extension-jsse-reference-guide.html,
// "The Default Trusted Certificates". Java 8 has both below jre.
func (m Machine) javaRoots(home string) string {
	for _, dir := range []string{"lib", "jre/lib"} {
		for _, name := range []string{"jssecacerts", "cacerts"} {
			file := m.resolved(filepath.Join(home, dir, "security", name))
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				return file
			}
		}
	}
	return ""
}

// keytoolOf returns the keytool of a Java, or "".
func (m Machine) keytoolOf(home string) string {
	path := filepath.Join(home, "bin", "keytool")
	if m.OS == "windows" {
		path += ".exe"
	}
	if m.resolved(path) == "" {
		return ""
	}
	return path
}

// resolved follows the links of a path; "" when it leads nowhere, or out of m.Root.
func (m Machine) resolved(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	if m.Root != "" {
		root, err := filepath.EvalSymlinks(m.Root)
		if err != nil || !within(root, real) {
			return ""
		}
	}
	return real
}

// command is keytool's for a person to run: it asks for the password.
func (s javaStore) command(args ...string) string {
	words := []string{quote(s.m.OS, s.keytool)}
	for _, arg := range append(args, "-keystore", s.file) {
		words = append(words, quote(s.m.OS, arg))
	}
	if info, err := os.Stat(s.file); err == nil && !s.m.mayWrite(info) {
		words = append([]string{"sudo"}, words...)
	}
	return strings.Join(words, " ")
}

// byHand is the fault of a keystore with a password that we do not have: the
// command is for a person, whom keytool asks for it.
func (s javaStore) byHand(err error, command string, root *x509.Certificate) error {
	if !errors.Is(err, ErrPassword) {
		return err
	}
	fix := s.command(command, "-alias", javaAlias(root))
	if command == "-importcert" {
		const file = "rtcdev-root.pem"
		fix = "rtcdev certs export --format pem -o " + file + " && " + s.command(command, "-trustcacerts", "-alias", javaAlias(root), "-file", file)
	}
	return fault(fix, "%w", err)
}

// missingKeytool is the fault of a Java without it, such as one that jlink made.
func missingKeytool(file string) error {
	return fault("JAVA_HOME must be the folder of a Java that has bin/keytool", "looking for the keytool that reads %s: %w", file, ErrToolMissing)
}
