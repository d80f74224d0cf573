//go:build !unix

package servers

import (
	"errors"
	"os"
	"syscall"
)

// These servers need Unix. Elsewhere the package compiles, and program finds none.

const (
	signalStop     = syscall.Signal(0)
	signalContinue = syscall.Signal(0)
	signalQuit     = syscall.Signal(0)
)

type account struct{ uid, gid int }

type processEntry struct {
	parent int
	dead   bool
}

func unprivileged(string) (*account, error)       { return nil, nil }
func child(*account) *syscall.SysProcAttr         { return nil }
func ownSession() *syscall.SysProcAttr            { return nil }
func signal(int, os.Signal) error                 { return errors.ErrUnsupported }
func processTable() (map[int]processEntry, error) { return nil, errors.ErrUnsupported }
