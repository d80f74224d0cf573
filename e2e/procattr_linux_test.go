package e2e

import "syscall"

// dieWithUs makes a child end with the test run even if that is killed, so
// that no test leaves a server behind.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
