//go:build unix

package servers

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

const (
	signalStop     = syscall.SIGSTOP
	signalContinue = syscall.SIGCONT
	signalQuit     = syscall.SIGQUIT
)

// account is a user to run a program as.
type account struct{ uid, gid int }

// unprivileged is the named account if we are root, and otherwise nil: ourselves.
func unprivileged(name string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("it does not run as root, and there is no other user for it: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	return &account{uid, gid}, err
}

// child is for the programs we start: in a process group of their own, so that
// an interrupt at the terminal reaches us alone.
func child(as *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
	dieWithUs(attr)
	return attr
}

func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// signal signals a process that is not our child. One that is gone gives
// os.ErrProcessDone.
func signal(pid int, sig os.Signal) error {
	err := syscall.Kill(pid, sig.(syscall.Signal))
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}
