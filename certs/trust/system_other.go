//go:build !linux

package trust

import (
	"context"
	"crypto/x509"
)

// layout says ErrUnsupported outside Linux before either of these is reached.

func (systemStore) update(context.Context, layout, *x509.Certificate, bool) error {
	return ErrUnsupported
}

func (systemStore) clean(context.Context, layout, *x509.Certificate) error { return ErrUnsupported }
