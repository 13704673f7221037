package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent lets the kernel kill the server when the test's process is gone: kill -9, a timeout's panic.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
