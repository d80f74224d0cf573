package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang/store/sqlstore"
)

func (p *program) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the embedded database while serving",
		Long: `Backup writes a complete and consistent copy of the embedded database (SQLite) to
a new file, also while the server runs. Keep the master key with it, but not in
the same place: the copy is of no use without it.

PostgreSQL, MariaDB and Redis have tools of their own; see docs/stores.md.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			if err := embedded(c); err != nil {
				return err
			}
			st, err := openDatabase(cmd.Context(), c, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			if err := st.database.Backup(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s is a copy of %s\n", absolute(args[0]), databaseName(c))
			if c.sessions != inDatabase {
				fmt.Fprintf(p.out, "sessions are not in it: they are at %s\n", redacted(c.sessions))
			}
			return nil
		},
	}
	addStoreSettings(cmd)
	return cmd
}

func (p *program) restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a copy back in the place of the embedded database",
		Long: `Restore checks a file that backup made and puts it in the place of the embedded
database. Stop the server first. What was there is kept beside it, with a name
that ends in .before-restore.

Whoever has refreshed since the copy was made holds a token newer than it, and
stays logged in: the copy takes the token over, and an event says so
(store_rollback, docs/rotation.md). Logins since then are gone, and what was
logged out since then is logged in again: end it once more.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			if err := embedded(c); err != nil {
				return err
			}
			kept, err := sqlstore.Restore(cmd.Context(), args[0], c.database)
			if errors.Is(err, sqlstore.ErrInUse) {
				return hinted(err, "stop the server first")
			} else if err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s is now what %s held\n", databaseName(c), absolute(args[0]))
			if kept != "" {
				fmt.Fprintf(p.out, "what was there before is in %s\n", absolute(kept))
			}
			return nil
		},
	}
	addStoreSettings(cmd)
	return cmd
}

// embedded refuses what only works on SQLite.
func embedded(c *config) error {
	if databasePath(c) != "" {
		return nil
	}
	return hinted(fmt.Errorf("%s is no embedded database", databaseName(c)), "use pg_dump and pg_restore, or mariadb-dump and mariadb; docs/stores.md says how")
}
