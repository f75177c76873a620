package main

import (
	"context"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// pace calls send for each number below count at its time. It has a thread of its
// own, and sleeps in the kernel: Go's timers are exact to a millisecond only.
func pace(ctx context.Context, begin time.Time, interval time.Duration, count int, send func(int) error) error {
	runtime.LockOSThread() // not unlocked: the thread, with its changed slack, ends with the goroutine
	const setTimerSlack = 29
	// The kernel may wake a sleeper 50 µs late, to save power; not this one.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
	for i := range count {
		if wait := time.Duration(i)*interval - time.Since(begin); wait > 0 {
			t := syscall.NsecToTimespec(int64(wait))
			// Raw, so that the scheduler does not take the thread's place meanwhile.
			_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := send(i); err != nil {
			return err
		}
	}
	return nil
}
