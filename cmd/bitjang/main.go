// Command bitjang is the login and session service as one program: serve runs
// it, the other commands look after its users, sessions and keys while it runs.
// It decides no rule: it reads settings, opens the store and calls the Service.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ, os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes: 1 says that something failed, 2 that the command line makes no
// sense.
const (
	exitFailure = 1
	exitUsage   = 2
)

// program is what every command is given from outside.
type program struct {
	environ func() []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// run is the whole program. It takes the environment as a list, because a
// variable that nobody knows is an error and a lookup would not find it.
func run(ctx context.Context, args []string, environ func() []string, in io.Reader, out, errs io.Writer) int {
	p := &program{environ: environ, in: in, out: out, err: errs}
	root := p.rootCommand()
	root.SetArgs(args[1:])
	if err := root.ExecuteContext(ctx); err != nil {
		return report(errs, err)
	}
	return 0
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "bitjang",
		Short: "Keeps people logged in, safely",
		Long: `Bitjang checks passwords, opens a session per device, hands out short-lived
access tokens and rotating refresh tokens, and recognises stolen ones.

Without any setting, "bitjang serve" just works. Settings come from flags, then
from BITJANG_* variables, then from bitjang.yaml; "bitjang config" shows what
holds, and "bitjang check" whether it can work.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err, "%q shows the flags there are", cmd.CommandPath()+" --help")
	})
	root.AddCommand(
		p.serveCommand(), p.configCommand(), p.checkCommand(), p.migrateCommand(), p.backupCommand(), p.restoreCommand(),
		p.userCommand(), p.sessionCommand(), p.clientCommand(), p.whyCommand(), p.auditCommand(), p.keyCommand(),
		p.versionCommand(), p.manCommand(),
	)
	return root
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	g.AddCommand(commands...)
	return g
}
