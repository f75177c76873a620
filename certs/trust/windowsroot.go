package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// windowsStore is the current user's list of trusted root authorities in Windows,
// which Edge and Chrome read, and Firefox from version 120 on. Windows itself asks
// in a window before it changes that list.
//
// Under WSL it is changed from Linux, by running Windows' programs. Whoever does
// so, also root with sudo, is to Windows the user who started WSL, so there is one
// such store and root is never needed.
//
// It is read with PowerShell (readScript) and changed with certutil.exe, and each
// of the two stands in for the other where it is missing or forbidden. What they
// say is in the language of the person and in the console's encoding. So only what
// is the same everywhere is looked at: certificates in hexadecimal, and the
// numbers of errors.
type windowsStore struct{ m Machine }

// readTimeout bounds one reading: PowerShell takes seconds to start, and longer
// when a virus scanner looks at it first.
const readTimeout = time.Minute

// Windows' numbers for errors (winerror.h).
const (
	hresultCancelled    = 0x800704c7 // HRESULT_FROM_WIN32(ERROR_CANCELLED)
	hresultAccessDenied = 0x80070005 // E_ACCESSDENIED
	hresultNotFound     = 0x80092004 // CRYPT_E_NOT_FOUND
	hresultNoObject     = 0x80090011 // NTE_NOT_FOUND
)

func (s windowsStore) Name() string {
	if s.m.WSL {
		return "windows (from WSL)"
	}
	return "windows"
}

func (windowsStore) Kind() string { return KindSystem }

// Path is no file: the list lies in the registry. It is written so that both
// Windows and Linux take it for absolute, as the journal wants it.
func (windowsStore) Path() string { return "//windows/CurrentUser/Root" }

// windowsView is what reading the store showed.
type windowsView struct {
	roots    [][]byte // DER of the root, when it is there, and of our other roots if PowerShell looked
	distrust bool     // the root is in the list of certificates that are never trusted
}

func (v windowsView) holds(root *x509.Certificate) bool {
	return slices.ContainsFunc(v.roots, func(der []byte) bool { return bytes.Equal(der, root.Raw) })
}

func (s windowsStore) Status(ctx context.Context, root *x509.Certificate) Status {
	st := Status{Path: `Cert:\CurrentUser\Root`, Browser: BrowserWindows}
	v, err := s.read(ctx, root)
	switch {
	case err != nil && s.m.WSL && ctx.Err() == nil:
		st.State, st.Reason = StateUnused, "Windows' programs do not answer here: "+err.Error()
		st.Fix = "set enabled=true below [interop] in /etc/wsl.conf, and run wsl.exe --shutdown in Windows"
		return st
	case err != nil:
		return unreadable(st, err)
	}
	st.entry, st.Stale = v.holds(root), others(rootsOfOurs(v.roots), root)
	switch {
	case v.distrust:
		st.State, st.Reason = StateAbsent, "the root is in Windows' list of certificates that are never trusted"
		st.Fix = "run certmgr.msc in Windows, and delete the root under Untrusted Certificates"
	case st.entry:
		st.State = StateTrusted
	default:
		st.State, st.Reason = StateAbsent, reasonAbsent
	}
	return st
}

// read asks PowerShell for our roots, and certutil.exe for this one when
// PowerShell does not answer.
func (s windowsStore) read(ctx context.Context, root *x509.Certificate) (windowsView, error) {
	const what = "reading Windows' trusted roots: %w"
	v, err := s.readPowerShell(ctx, root)
	certutil, ok := s.certutil()
	switch {
	case err == nil:
		return v, nil
	case !ok, gaveUp(ctx, err):
		return v, fault(s.missingFix(), what, err)
	}
	out, errs, certutilErr := s.m.patient(readTimeout).output(ctx, certutil, "-user", "-store", "Root", thumbprint(root))
	code := hresult(out+errs, certutilErr)
	switch {
	case certutilErr == nil && strings.Contains(strings.ToUpper(plain(out)), thumbprint(root)):
		return windowsView{roots: [][]byte{root.Raw}}, nil
	case code == hresultNotFound || code == hresultNoObject:
		return windowsView{}, nil
	case gaveUp(ctx, certutilErr):
		err = certutilErr
	}
	return v, fault(s.missingFix(), what, err)
}

func (s windowsStore) readPowerShell(ctx context.Context, root *x509.Certificate) (windowsView, error) {
	powershell, ok := s.powershell()
	if !ok {
		return windowsView{}, fmt.Errorf("looking for powershell.exe: %w", ErrToolMissing)
	}
	out, _, err := s.m.patient(readTimeout).output(ctx, powershell,
		"-NoProfile", "-NonInteractive", "-Command", readScript(thumbprint(root)))
	if gaveUp(ctx, err) {
		return windowsView{}, err
	}
	trusted, distrusted, parseErr := parseListing(out)
	switch {
	case parseErr != nil && err != nil:
		return windowsView{}, readable(err)
	case parseErr != nil:
		return windowsView{}, fmt.Errorf("running powershell.exe: %w", parseErr)
	}
	distrust := slices.ContainsFunc(distrusted, func(der []byte) bool { return bytes.Equal(der, root.Raw) })
	return windowsView{roots: trusted, distrust: distrust}, nil
}

func (s windowsStore) missingFix() string {
	if s.m.WSL {
		return "check that this answers: powershell.exe -NoProfile -Command exit"
	}
	return `check that these can be run: C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe and C:\Windows\System32\certutil.exe`
}

func (s windowsStore) Install(ctx context.Context, root *x509.Certificate) error {
	if _, err := s.read(ctx, root); err != nil {
		return err // before a person is asked for what could not be verified
	}
	return s.change(ctx, root, "adding the root to Windows' trusted roots", "-addstore", "Add")
}

func (s windowsStore) Remove(ctx context.Context, root *x509.Certificate) error {
	v, err := s.read(ctx, root)
	if err != nil || !v.holds(root) {
		return err
	}
	return s.change(ctx, root, "removing the root from Windows' trusted roots", "-delstore", "Remove")
}

// change adds or removes root, by the command of certutil.exe or, where that
// cannot be used, by the method of .NET's X509Store. The choice is made before
// Windows asks the person, so that she is asked once.
func (s windowsStore) change(ctx context.Context, root *x509.Certificate, what, command, method string) error {
	operand, done, err := s.operand(ctx, command, root)
	if err != nil {
		return err
	}
	defer done()
	m := s.m.patient(promptTimeout)
	if certutil, ok := s.certutil(); ok && operand != "" {
		out, errs, err := m.output(ctx, certutil, "-user", command, "Root", operand)
		return s.outcome(what, root, hresult(out+errs, err), err)
	}
	powershell, ok := s.powershell()
	if !ok {
		return fault(s.missingFix(), "%s: looking for certutil.exe and powershell.exe: %w", what, ErrToolMissing)
	}
	out, _, err := m.output(ctx, powershell, "-NoProfile", "-Command", changeScript(root, method))
	code, parseErr := parseResult(out)
	if err == nil && parseErr != nil {
		err = fmt.Errorf("running powershell.exe: %w", parseErr)
	}
	return s.outcome(what, root, code, err)
}

// operand is what certutil.exe calls root by: a file to add it, its hash to remove
// it. It is empty when a file cannot be named in Windows' way, under WSL.
func (s windowsStore) operand(ctx context.Context, command string, root *x509.Certificate) (operand string, done func(), err error) {
	if command == "-delstore" {
		return thumbprint(root), func() {}, nil
	}
	file, done, err := rootFile(root)
	if err != nil || !s.m.WSL {
		return file, done, err
	}
	out, _, err := s.m.output(ctx, "wslpath", "-w", file)
	if err != nil {
		return "", done, nil
	}
	return strings.TrimSpace(out), done, nil
}

// outcome names what went wrong by the number of the error.
func (s windowsStore) outcome(what string, root *x509.Certificate, code uint32, err error) error {
	switch {
	case errors.Is(err, ErrTimeout):
		return fault("run the same command again, and answer the window with Yes", "%s: Windows asked in a window: %w", what, err)
	case code == hresultCancelled:
		return fault("run the same command again, and answer the window with Yes; over SSH, or as a service, Windows cannot ask: run it on the computer's own screen",
			"%s: Windows asked in a window: %w", what, ErrDeclined)
	case code == hresultAccessDenied && strings.HasPrefix(what, "removing"):
		return fault("if the root was added for every user: open a terminal as administrator, and run certutil -delstore Root "+thumbprint(root),
			"%s: Windows denied the access: %w", what, ErrReadOnly)
	case code == hresultAccessDenied:
		return fault("ask who administers this computer: a policy may forbid users to trust roots", "%s: Windows denied the access: %w", what, ErrReadOnly)
	case err == nil && code == 0:
		return nil
	case code != 0:
		return fault("look the number up with: certutil -error "+fmt.Sprintf("0x%08x", code), "%s: Windows says error 0x%08x", what, code)
	}
	return fault(s.missingFix(), "%s: %w", what, readable(err))
}

// readable leaves out what a program said in an encoding that is not UTF-8.
func readable(err error) error {
	if utf8.ValidString(err.Error()) {
		return err
	}
	if code, ended := exitCode(err); ended {
		return fmt.Errorf("it ended with exit status %d", code)
	}
	return errors.New("what it said is not readable")
}

func (s windowsStore) Roots(ctx context.Context) ([]*x509.Certificate, error) {
	v, err := s.readPowerShell(ctx, &x509.Certificate{})
	if err != nil && s.m.WSL && ctx.Err() == nil {
		return nil, nil // Status says that it is not used, and why
	}
	if err != nil {
		return nil, fault(s.missingFix(), "reading Windows' trusted roots: %w", err)
	}
	return rootsOfOurs(v.roots), nil
}

// powershell and certutil look where Windows keeps them first: on the PATH,
// certutil may be the one of NSS.
func (s windowsStore) powershell() (string, bool) {
	return s.m.program(s.system32("WindowsPowerShell", "v1.0", "powershell.exe"), "powershell.exe")
}

func (s windowsStore) certutil() (string, bool) {
	if path, ok := s.m.program(s.system32("certutil.exe")); ok || !s.m.WSL {
		return path, ok
	}
	return s.m.program("certutil.exe")
}

func (s windowsStore) system32(parts ...string) string {
	if s.m.WSL {
		return "/mnt/c/Windows/System32/" + strings.Join(parts, "/")
	}
	return `C:\Windows\System32\` + strings.Join(parts, `\`)
}
