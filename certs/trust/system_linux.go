package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/smallstep/truststore"
)

// toolTimeout bounds the distribution's tool. It runs hooks (Java's takes
// seconds), and truststore has no way to stop it, so timeout(1) does.
const toolTimeout = 2 * time.Minute

// update adds or removes root with smallstep/truststore, as root.
//
// truststore is given no other trusts, so it changes the system store only. It
// puts sudo before its commands when there is one; sudo asks root nothing. Its
// settings are global, which is why this package says what it says about
// running twice at once.
func (s systemStore) update(ctx context.Context, l layout, root *x509.Certificate, add bool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("changing the system store: %w", err)
	}
	if os.Geteuid() != 0 { // whatever s.m says: truststore would let sudo ask on the terminal
		return fmt.Errorf("changing the system store: %w", ErrNeedsRoot)
	}
	tool, err := s.tool(l)
	if err != nil {
		return fmt.Errorf("changing the system store: %w", err)
	}
	// Two of the distribution's tools at once would write into one new bundle.
	m := s.m
	m.Timeout = toolTimeout
	unlock, err := m.lockDir(ctx, l.anchors)
	if err != nil {
		return fmt.Errorf("changing the system store: %w", err)
	}
	defer unlock()
	truststore.SystemTrustFilename = filepath.Join(l.anchors, "%s"+l.ext)
	truststore.SystemTrustCommand = append([]string{"timeout", fmt.Sprint(toolTimeout.Seconds()), tool}, l.args...)
	change := truststore.Uninstall
	if add {
		change = truststore.Install
	}
	// Debian's tool appends to the bundle that one which was killed left half-made,
	// and moves that into place. The next run makes it anew.
	halfMade := exists(l.bundle + ".new")
	err = change(root, truststore.WithPrefix(anchorPrefix(root)))
	if err == nil && halfMade {
		err = change(root, truststore.WithPrefix(anchorPrefix(root)))
	}
	if err == nil && add { // readable also when our umask is strict: it is a public certificate
		err = os.Chmod(l.anchor(root), 0o644)
	}
	var failed *truststore.CmdError
	if errors.As(err, &failed) {
		return failure(l, failed)
	}
	if err != nil {
		return fmt.Errorf("changing the system store: %w", err)
	}
	return nil
}

// failure says which program failed, and why.
func failure(l layout, failed *truststore.CmdError) error {
	const stoppedByTimeout = 124 // timeout(1)
	program, err := filepath.Base(failed.Cmd().Path), failed.Err()
	if program == "timeout" || program == "sudo" {
		program = l.tool
	}
	if code, _ := exitCode(err); code == stoppedByTimeout {
		err = fmt.Errorf("%w: it was stopped after %s", ErrTimeout, toolTimeout)
	}
	if said := oneLine(withoutPEM(string(failed.Out()))); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return fault("find out more with: sudo "+l.command()+"; repair it, and run the same command again",
		"changing the system store: running %s: %w", program, err)
}

// withoutPEM leaves out the certificate that tee(1) repeats.
func withoutPEM(said string) string {
	before, rest, found := strings.Cut(said, "-----BEGIN")
	if !found {
		return said
	}
	_, after, _ := strings.Cut(rest, "-----END CERTIFICATE-----")
	return before + after
}

// clean undoes what Debian's update-ca-certificates leaves behind when a root's
// file is simply gone: a dangling link to the file, the OpenSSL hash links to
// that link, and, in the stores its hooks keep (Java's), the root itself.
// Other roots' links are not touched, except that a gap in the numbers of one
// hash is closed, because OpenSSL stops looking at the first gap.
func (s systemStore) clean(ctx context.Context, l layout, root *x509.Certificate) error {
	if l.links == "" {
		return nil
	}
	anchor := l.anchor(root)
	link := filepath.Join(l.links, strings.TrimSuffix(filepath.Base(anchor), l.ext)+".pem")
	if target, err := os.Readlink(link); err != nil || target != anchor {
		return nil
	}
	// The link goes last: as long as it is there, clean can be run again.
	if err := s.tellHooks(ctx, l, link); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.links)
	if err != nil {
		return fmt.Errorf("removing the links to the root: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(l.links, e.Name())
		if target, err := os.Readlink(path); err != nil || target != filepath.Base(link) {
			continue
		}
		if err := removeHashLink(path); err != nil {
			return fmt.Errorf("removing the links to the root: %w", err)
		}
	}
	if err := os.Remove(link); err != nil {
		return fmt.Errorf("removing the link to the root: %w", err)
	}
	return nil
}

// removeHashLink deletes DIR/hash.n and moves hash.n+1 and so on down by one.
func removeHashLink(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	number := strings.TrimPrefix(filepath.Ext(path), ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil // not a hash link
	}
	stem := strings.TrimSuffix(path, number)
	for ; exists(stem + strconv.Itoa(n+1)); n++ {
		if err := os.Rename(stem+strconv.Itoa(n+1), stem+strconv.Itoa(n)); err != nil {
			return err
		}
	}
	return nil
}

// hookName is what run-parts(8) accepts; update-ca-certificates uses it.
var hookName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// tellHooks tells every hook "-LINK" on stdin, as update-ca-certificates does
// for a root that it removes itself. One hook's failure does not stop the next.
func (s systemStore) tellHooks(ctx context.Context, l layout, link string) error {
	entries, err := os.ReadDir(l.hooks)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("telling other stores that the root is gone: %w", err)
	}
	m := s.m
	m.Timeout = toolTimeout
	var failed []error
	for _, e := range entries {
		hook := filepath.Join(l.hooks, e.Name())
		info, err := os.Stat(hook)
		if err != nil || !hookName.MatchString(e.Name()) || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		if _, _, err := m.output(ctx, "sh", "-c", `echo "-$1" | "$2"`, "sh", link, hook); err != nil {
			failed = append(failed, fault("repair "+quote(s.m.OS, hook)+", and run the same command again",
				"telling the stores of %s that the root is gone: %w", hook, err))
		}
	}
	return errors.Join(failed...)
}
