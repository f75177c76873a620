package certs

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"time"
)

// Description is what can be told of an authority without using it. Parts that
// could not be read are empty.
type Description struct {
	Folder        string    `json:"folder"`
	Name          string    `json:"name,omitempty"`            // the root's common name
	Fingerprint   string    `json:"rootFingerprint,omitempty"` // as FingerprintOf writes it
	NotBefore     time.Time `json:"notBefore,omitzero"`
	NotAfter      time.Time `json:"notAfter,omitzero"`      // as Authority.Ends
	EndsSoon      bool      `json:"endsSoon"`               // less than EndingSoon is left, or nothing
	Unconstrained bool      `json:"unconstrained"`          // it can speak for every name there is
	DNS           []string  `json:"permittedDNS,omitempty"` // each with all names below it
	IP            []string  `json:"permittedIP,omitempty"`  // in CIDR notation
	Key           KeyState  `json:"key,omitempty"`          // of the intermediate; empty if there is no authority
}

// KeyState says whether the intermediate's key can be used.
type KeyState string

const (
	KeyOK         KeyState = "ok"         // it is whole, and its mode and owner are right
	KeyMissing    KeyState = "missing"    // there is no such file
	KeyDamaged    KeyState = "damaged"    // the file holds no key of ours
	KeyExposed    KeyState = "exposed"    // the file's mode lets other users read or change it
	KeyForeign    KeyState = "foreign"    // the file is another user's
	KeyUnreadable KeyState = "unreadable" // the file cannot be read
	KeyMismatched KeyState = "mismatched" // it does not belong to the intermediate
)

// Describe describes the authority in the folder dir as far as it can be read,
// also with an error, which is that of [Open].
func Describe(dir string) (Description, error) { return describe(dir, time.Now) }

func describe(dir string, now func() time.Time) (Description, error) {
	d := Description{Folder: dir}
	_, fault := open(dir, now)
	if errors.Is(fault, ErrNoAuthority) {
		return d, fault
	}
	parts := &storeReader{dir: dir}
	intermediate := parts.certificate(intermediateFile)
	d.Key = keyState(dir, intermediate)
	if root, err := OpenRoot(dir); err == nil {
		d.describeRoot(root)
		if intermediate != nil {
			d.NotAfter = ends(root, intermediate)
		}
		d.EndsSoon = endsSoon(d.NotAfter, now())
	}
	return d, fault
}

func (d *Description) describeRoot(root *x509.Certificate) {
	d.Name, d.Fingerprint = root.Subject.CommonName, FingerprintOf(root)
	d.NotBefore, d.NotAfter = root.NotBefore, root.NotAfter
	limits, err := constraintsOf(root)
	if err != nil {
		return // which is a fault that Open reports
	}
	d.Unconstrained, d.DNS = limits.unconstrained, limits.dns
	for _, prefix := range limits.ips {
		d.IP = append(d.IP, prefix.String())
	}
}

func keyState(dir string, intermediate *x509.Certificate) KeyState {
	reader := &storeReader{dir: dir}
	key := reader.privateKey()
	switch err := reader.err; {
	case errors.Is(err, fs.ErrNotExist):
		return KeyMissing
	case errors.Is(err, ErrNotOwner):
		return KeyForeign
	case errors.Is(err, errExposed):
		return KeyExposed
	case errors.Unwrap(err) != nil: // what the system said
		return KeyUnreadable
	case err != nil:
		return KeyDamaged
	case intermediate != nil && !key.PublicKey.Equal(intermediate.PublicKey):
		return KeyMismatched
	}
	return KeyOK
}
