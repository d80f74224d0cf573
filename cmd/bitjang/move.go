package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

func (p *program) migrateSessionsCommand() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "sessions --from ADDRESS --to ADDRESS",
		Short: "Move all sessions to another store while serving",
		Long: `Sessions moves every session from one store to another; nobody is logged out.
Before it, restart every node so that all of them look in both places: first with
--sessions FROM --sessions-also TO, then, when all run like that, with
--sessions TO --sessions-also FROM. A single node can go straight to the second.
When the move is done, restart them with --sessions TO alone.

It may be stopped and run again at any time. An address is that of --sessions, or
"database" for the one of --database.`,
		Example: "  bitjang migrate sessions --from database --to redis://localhost:6379",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return p.moveSessions(cmd.Context(), c, from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "where the sessions are")
	cmd.Flags().StringVar(&to, "to", "", "where they go")
	addSettings(cmd, "data-dir", "database")
	return cmd
}

func (p *program) moveSessions(ctx context.Context, c *config, from, to string) (err error) {
	for _, flag := range []struct{ name, address string }{{"--from", from}, {"--to", to}} {
		if err := sessions(func(*config) *string { return new(string) })(c, flag.address); err != nil {
			return usage(fmt.Errorf("%s %w", flag.name, err), `it is used like this: bitjang migrate sessions --from database --to redis://localhost:6379`)
		}
	}
	if from == to {
		return usage(errors.New("--from and --to are the same"), "name the store that the sessions go to with --to")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	st, err := openDatabase(ctx, c, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	source, err := st.open(ctx, c, from)
	if err != nil {
		return err
	}
	target, err := st.open(ctx, c, to)
	if err != nil {
		return err
	}
	shown := newProgress(p.err)
	total := 0
	for {
		mv := bitjang.Move{From: source, To: target, Retention: c.service.SessionRetention,
			Progress: func(n int) { shown.report("%d sessions moved", total+n) }}
		n, err := mv.Run(ctx)
		total += n
		if err != nil {
			return hinted(fmt.Errorf("%d sessions moved, then: %w", total, err), "run it again: it goes on where it stopped")
		}
		if n == 0 {
			fmt.Fprintf(p.out, "%d sessions moved from %s to %s; restart the nodes with --sessions %s alone\n", total, redacted(from), redacted(to), redacted(to))
			return nil
		}
	}
}
