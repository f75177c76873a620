package lan

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// changes gives a value after each change of a link, an address or a route that the kernel
// tells of (rtnetlink(7)). What the messages say is not read: the lists are read anew.
func changes() (told <-chan struct{}, stop func(), err error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	groups := []uint32{syscall.RTNLGRP_LINK, syscall.RTNLGRP_IPV4_IFADDR, syscall.RTNLGRP_IPV6_IFADDR,
		syscall.RTNLGRP_IPV4_ROUTE, syscall.RTNLGRP_IPV6_ROUTE}
	local := &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}
	for _, g := range groups {
		local.Groups |= 1 << (g - 1)
	}
	if err := syscall.Bind(fd, local); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("binding the netlink socket: %w", err), syscall.Close(fd))
	}
	f := os.NewFile(uintptr(fd), "netlink") // as it does not block, the runtime polls it, and Close ends a Read
	ticks, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 64<<10)
		for {
			// ENOBUFS says that messages were lost, so something has changed too.
			if _, err := f.Read(buf); err != nil && !errors.Is(err, syscall.ENOBUFS) {
				return
			}
			wake(ticks)
		}
	}()
	return ticks, func() { _ = f.Close(); <-ended }, nil
}
