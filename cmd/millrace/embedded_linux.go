package main

import "syscall"

// ownGroup puts a child into a process group of its own. It must not outlive us, not even a kill -9: our successor
// starts its own on these files.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
