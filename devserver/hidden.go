package devserver

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// errHidden is why a file that exists is not served.
var errHidden = errors.New("not served")

// hiddenName tells names that are never served: dotfiles (but for .well-known,
// RFC 8615, and the folder in which pnpm keeps packages), and what Windows takes
// for a path, a stream of another file, or the short form of another name (GIT~1
// for .git).
func hiddenName(name string) bool {
	if strings.ContainsAny(name, "\\:\x00") || runtime.GOOS == "windows" && strings.Contains(name, "~") {
		return true
	}
	before := ""
	for part := range strings.SplitSeq(name, "/") {
		isPackages := part == ".pnpm" && before == "node_modules"
		if strings.HasPrefix(part, ".") && part != "." && part != ".well-known" && !isPackages {
			return true
		}
		before = part
	}
	return false
}

// leadsToHidden resolves the links inside the folder and reports whether the
// file has a hidden name of its own, or is private or in a private folder.
func (s *site) leadsToHidden(name string) bool {
	real, err := filepath.EvalSymlinks(filepath.Join(s.dir, filepath.FromSlash(name)))
	if err != nil {
		return true // it was there a moment ago; do not guess
	}
	rel, err := filepath.Rel(s.dir, real)
	if err != nil || hiddenName(filepath.ToSlash(rel)) {
		return true
	}
	for ; len(real) > len(s.dir); real = filepath.Dir(real) {
		info, err := os.Stat(real)
		if err != nil || s.isPrivate(info) {
			return true
		}
	}
	return false
}

// isPrivate compares files, not names: there are links, and file systems that
// do not tell upper from lower case.
func (s *site) isPrivate(info fs.FileInfo) bool {
	for _, p := range s.private {
		if private, err := os.Stat(p); err == nil && os.SameFile(private, info) {
			return true
		}
	}
	return false
}

// maxKeySearch is how much of a file is searched for a key. Real ones, bundles
// included, are a few KiB.
const maxKeySearch = 1 << 20

// refuseKey returns errHidden for private keys: by the names that tools give
// them, and by their content (PEM, RFC 7468 §10–11 and §13; DER) in files that
// are no picture, sound, video or font. The file is at its beginning afterwards.
func refuseKey(name string, f fs.File) error {
	ext := strings.ToLower(path.Ext(name))
	switch ext {
	case ".key", ".p12", ".pfx", ".jks", ".keystore", ".p8", ".ppk":
		return errHidden
	}
	kind, _, _ := strings.Cut(contentType(ext), "/")
	switch kind {
	case "image", "audio", "video", "font":
		return nil
	}
	body, ok := f.(io.ReadSeeker)
	if !ok {
		return errHidden
	}
	data, err := io.ReadAll(io.LimitReader(body, maxKeySearch))
	if err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if holdsKey(data, isCode(ext)) {
		return errHidden
	}
	return nil
}

// isCode tells files that may well speak of keys without holding one: the
// scripts of libraries that read them, and pages about them.
func isCode(ext string) bool {
	switch ext {
	case ".html", ".htm", ".js", ".mjs", ".cjs", ".css", ".map", ".md":
		return true
	}
	return false
}

// holdsKey looks for a key. In code only a complete PEM block counts; elsewhere
// its first line does, also as JSON or UTF-16 would write it.
func holdsKey(data []byte, code bool) bool {
	if !code {
		plain := bytes.ReplaceAll(data, []byte{0}, nil)
		if bytes.Contains(plain, []byte("PRIVATE KEY-----")) || bytes.Contains(plain, []byte("PuTTY-User-Key-File")) {
			return true
		}
		return isDERKey(data)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}

func isDERKey(data []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(data); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(data); err == nil {
		return true
	}
	_, err := x509.ParsePKCS1PrivateKey(data)
	return err == nil
}
