//go:build !linux

package main

import (
	"context"
	"time"
)

// pace calls send for each number below count at its time.
func pace(ctx context.Context, begin time.Time, interval time.Duration, count int, send func(int) error) error {
	for i := range count {
		select {
		case <-time.After(time.Duration(i)*interval - time.Since(begin)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := send(i); err != nil {
			return err
		}
	}
	return nil
}
