//go:build !linux

package local

import "syscall"

// adopt does nothing: only Linux gives a process its descendants' orphans. What leaves its group is not ended here.
func adopt() {}

// inGroup is how a child is started as a member of process group pgid, 0 = its own.
func inGroup(pgid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
}

func endOrphans() {}
