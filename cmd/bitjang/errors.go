package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

// failure is an error with something to do about it.
type failure struct {
	err  error
	hint string
	exit int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// hinted adds what to do to an error.
func hinted(err error, format string, args ...any) error {
	return &failure{err: err, hint: fmt.Sprintf(format, args...), exit: exitFailure}
}

// usage says that the command line makes no sense.
func usage(err error, format string, args ...any) error {
	return &failure{err: err, hint: fmt.Sprintf(format, args...), exit: exitUsage}
}

// report is the only place that prints a failure.
func report(w io.Writer, err error) int {
	fmt.Fprintf(w, "bitjang: %s\n", describe(err))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.exit
	}
	return exitFailure
}

// describe says what happened. The cause of a refusal, hidden from clients, is
// for the operator, who sits here.
func describe(err error) string {
	e, ok := errors.AsType[*bitjang.Error](err)
	switch {
	case !ok:
		return strings.TrimPrefix(err.Error(), "bitjang: ")
	case e.Err != nil:
		return strings.TrimSuffix(e.Message, ".") + ": " + e.Err.Error()
	}
	return e.Message
}

// hintFor finds the hint: the one that the error carries, or one for what lies
// at its bottom.
func hintFor(err error) string {
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		return f.hint
	}
	for _, h := range hints {
		if errors.Is(err, h.target) {
			return h.text
		}
	}
	return ""
}

var hints = []struct {
	target error
	text   string
}{
	{bitjang.ErrWrongMasterKey, "give the master key that this database was first started with, in BITJANG_MASTER_KEY or in the file BITJANG_MASTER_KEY_FILE names; to replace a key, give both, the new one first"},
	{bitjang.ErrNoSuchUser, `"bitjang user list" shows who there is; is this the right data directory ("bitjang config")?`},
	{bitjang.ErrNoSuchSession, `"bitjang session list" and "bitjang session list --ended" show what there is`},
	{bitjang.ErrNoSuchClient, `"bitjang client list" shows which there are`},
	{bitjang.ErrUserExists, `"bitjang user passwd" sets a new password for an existing account`},
	{syscall.EADDRINUSE, "another program listens there: stop it, or choose another address with --listen or BITJANG_LISTEN"},
	{syscall.EADDRNOTAVAIL, "this machine has no such address: 127.0.0.1 is reachable from here only, 0.0.0.0 from everywhere"},
	{syscall.EROFS, "the file system is read-only: choose another directory with --data-dir or BITJANG_DATA_DIR"},
	{fs.ErrPermission, "the user that runs bitjang may not do this: change the owner, or choose another place with --data-dir or BITJANG_DATA_DIR"},
	{syscall.ENOTDIR, "a file stands where a directory should: choose another one with --data-dir or BITJANG_DATA_DIR"},
}

// noArgs, exactArgs and maxArgs are cobra's, with our exit code and hint.
func noArgs(cmd *cobra.Command, args []string) error { return argsAre(cmd, cobra.NoArgs(cmd, args)) }

func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return argsAre(cmd, cobra.ExactArgs(n)(cmd, args)) }
}

func maxArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return argsAre(cmd, cobra.MaximumNArgs(n)(cmd, args)) }
}

func argsAre(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return usage(err, "it is used like this: %s", cmd.UseLine())
}
