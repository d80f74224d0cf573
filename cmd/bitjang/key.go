package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

func (p *program) keyCommand() *cobra.Command {
	return group("key", "Look at and replace the keys that sign access tokens", p.keyListCommand(), p.keyRotateCommand())
}

// keyLine is a signing key as JSON.
type keyLine struct {
	ID         string    `json:"kid"`
	Algorithm  string    `json:"alg"`
	State      string    `json:"state"`
	CreatedAt  time.Time `json:"created_at"`
	ActiveFrom time.Time `json:"active_from"`
}

func (p *program) keyListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the signing keys, newest first",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				keys, err := svc.SigningKeys(cmd.Context())
				if err != nil {
					return err
				}
				return p.printKeys(keys, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addStoreSettings(cmd)
	return cmd
}

func (p *program) printKeys(keys []bitjang.SigningKey, asJSON bool) error {
	lines := make([]keyLine, len(keys))
	for i, k := range keys {
		lines[i] = keyLine{k.ID, k.Algorithm, k.KeyState(keys, time.Now()), k.CreatedAt, k.ActiveFrom}
	}
	if asJSON {
		return writeJSON(p.out, lines)
	}
	t := newTable(p.out, "KEY", "ALG", "STATE", "CREATED", "SIGNS FROM")
	for _, l := range lines {
		t.row(l.ID, l.Algorithm, l.State, short(l.CreatedAt), short(l.ActiveFrom))
	}
	return t.Flush()
}

func (p *program) keyRotateCommand() *cobra.Command {
	var in bitjang.RotateKeyInput
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key",
		Long: `Rotate makes a new signing key, which running servers take up by themselves.
Nobody is logged out: refresh tokens do not depend on signing keys.

Keys are rotated by schedule anyway (--key-rotation). Use --discard when a key
may have leaked: access tokens signed with any other key are then refused.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			// Loading the keys first refuses a wrong master key: under it we
			// would seal a key that no server can open.
			svc, st, _, err := openService(cmd.Context(), c, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			k, err := svc.RotateKey(cmd.Context(), in)
			if err != nil {
				return err
			}
			p.explainRotation(k, in)
			return nil
		},
	}
	cmd.Flags().BoolVar(&in.Now, "now", false, "sign with it at once, not ten seconds from now")
	cmd.Flags().BoolVar(&in.Discard, "discard", false, "delete every other key: access tokens signed with them are refused")
	addSettings(cmd, "data-dir", "database", "master-key-file", "algorithm")
	return cmd
}

func (p *program) explainRotation(k bitjang.SigningKey, in bitjang.RotateKeyInput) {
	fmt.Fprintf(p.out, "New signing key %s (%s), signs from %s.\n", k.ID, k.Algorithm, k.ActiveFrom.Local().Format(time.DateTime))
	fmt.Fprintln(p.out, "Running servers take it up within five seconds; nobody is logged out.")
	if in.Discard {
		fmt.Fprintln(p.out, "All other keys are deleted: servers refuse access tokens signed with them within five seconds, and clients get new ones with their refresh tokens.\nResource servers that keep the key set notice when they fetch it again.")
		return
	}
	fmt.Fprintln(p.out, "The former keys stay published until the last access token signed with them has expired.")
}
