//go:build !linux

package redistest

import "os/exec"

// dieWithParent does nothing: other systems than Linux have no such signal, and the test's cleanup has to do.
func dieWithParent(*exec.Cmd) {}
