package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang/store/sqlstore"
)

func (p *program) configCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings that hold, and where each comes from",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, values, err := p.load(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printSettingsJSON(values)
			}
			t := newTable(p.out, "SETTING", "VALUE", "SOURCE")
			for _, v := range values {
				t.row(v.name, v.shown(), v.source)
			}
			return t.Flush()
		},
	}
	addSettings(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// shown is the value as it may be printed.
func (v *value) shown() string {
	if v.secret && v.text != "" {
		return "(set, not shown)"
	}
	if v.address {
		return redacted(v.text)
	}
	return v.text
}

// redacted is an address without what may be secret in it: the password, and
// parameters, in which one may stand as well.
func redacted(address string) string {
	scheme, rest, is := strings.Cut(address, "://")
	if !is {
		return address
	}
	rest, _, _ = strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		rest = user + ":xxxxx" + rest[at:]
	}
	return scheme + "://" + rest
}

func (p *program) printSettingsJSON(values []value) error {
	type line struct {
		Name     string `json:"name"`
		Variable string `json:"variable"`
		Value    string `json:"value"`
		Source   string `json:"source"`
		Secret   bool   `json:"secret,omitempty"`
	}
	lines := make([]line, len(values))
	for i, v := range values {
		lines[i] = line{v.name, v.env(), v.shown(), v.source, v.secret}
	}
	return writeJSON(p.out, lines)
}

func (p *program) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date, or make it",
		Long: `Migrate brings the tables of the database up to date and makes the database if
there is none. Serve does the same when it starts; migrate is for those who want
it done before. It never goes back, and the release before this one works on.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			store, err := sqlstore.Open(cmd.Context(), c.database)
			if err != nil {
				return err
			}
			defer store.Close()
			version, err := store.Version(cmd.Context())
			if err != nil {
				return fmt.Errorf("read the version of the database: %w", err)
			}
			fmt.Fprintf(p.out, "%s is up to date, at schema version %d\n", databaseName(c), version)
			return nil
		},
	}
	addStoreSettings(cmd)
	cmd.AddCommand(p.migrateSessionsCommand())
	return cmd
}
