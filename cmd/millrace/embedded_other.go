//go:build !linux

package main

import "syscall"

// ownGroup puts a child into a process group of its own. Other systems than Linux cannot tie its life to ours: after a
// kill -9 of the agent its redis-server must be ended by hand.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
