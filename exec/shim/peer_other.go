//go:build !linux

package shim

import "net"

// checkPeer relies on the rights of the socket and its folder.
func checkPeer(net.Conn) error { return nil }
