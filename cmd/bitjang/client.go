package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

func (p *program) clientCommand() *cobra.Command {
	return group("client", "Register, list and remove clients, and replace their secrets",
		p.clientAddCommand(), p.clientListCommand(), p.clientRotateCommand(), p.clientRemoveCommand())
}

func (p *program) clientAddCommand() *cobra.Command {
	var c bitjang.Client
	var keys string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Register a client",
		Long: `Add registers a program that logs people in through Bitjang, or that speaks for
itself. It prints the client's id and, unless the client is public or has a key
of its own, its secret, once.

A page or an app cannot keep a secret: --public. docs/oauth.md has examples.`,
		Example: `  bitjang client add "Notes" --redirect-uri https://notes.example.com/callback
  bitjang client add "Notes for phones" --public --redirect-uri com.example.notes:/callback --first-party
  bitjang client add "Nightly job" --grant client_credentials --scope revocations`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c.Name = args[0]
			if keys != "" {
				c.Auth = bitjang.ClientByKey
				if c.Keys, err = os.ReadFile(keys); err != nil {
					return fmt.Errorf("read the client's keys: %w", err)
				}
			}
			if public, _ := cmd.Flags().GetBool("public"); public {
				c.Auth = bitjang.ClientPublic
			}
			conf, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), conf, true, func(svc *bitjang.Service) error {
				added, secret, err := svc.AddClient(cmd.Context(), c)
				if err != nil {
					return err
				}
				fmt.Fprintf(p.out, "client id      %s\n", added.ID)
				p.printClientSecret(secret)
				return nil
			})
		},
	}
	addClientFlags(cmd, &c)
	cmd.Flags().StringVar(&keys, "keys", "", "file with the client's public keys (a JWK set); it then authenticates with private_key_jwt")
	addStoreSettings(cmd)
	return cmd
}

func addClientFlags(cmd *cobra.Command, c *bitjang.Client) {
	f := cmd.Flags()
	f.StringVar(&c.ID, "id", "", "client id; made up unless given")
	f.Bool("public", false, "it cannot keep a secret: an app or a page")
	f.BoolVar(&c.FirstParty, "first-party", false, "it is your own: people are not asked for consent")
	f.StringArrayVar(&c.RedirectURIs, "redirect-uri", nil, "where people are sent back to, exactly; repeat for more")
	f.StringArrayVar(&c.LogoutURIs, "logout-uri", nil, "where people may be sent after logging out, exactly; repeat for more")
	f.StringVar(&c.BackchannelLogoutURI, "backchannel-logout-uri", "", "is told when a session of the client ends")
	f.StringArrayVar(&c.GrantTypes, "grant", nil, "grant type; authorization_code and refresh_token unless given")
	f.StringArrayVar(&c.Scopes, "scope", nil, "scope that it may ask for; repeat for more")
	f.StringArrayVar(&c.Resources, "resource", nil, "audience of its access tokens, the usual one first; repeat for more")
	f.DurationVar(&c.AccessTTL, "access-life", 0, "lifetime of its access tokens, at most everybody's")
	f.DurationVar(&c.RefreshTTL, "idle-life", 0, "idle lifetime of its sessions")
	f.DurationVar(&c.SessionTTL, "session-life", 0, "absolute lifetime of its sessions")
	f.BoolVar(&c.DPoP, "dpop", false, "all its access tokens are bound to a key of the client's (DPoP)")
	f.BoolVar(&c.NoPKCE, "no-pkce", false, "a client with a secret that cannot do PKCE; it must send a nonce")
}

func (p *program) printClientSecret(secret bitjang.Secret) {
	if secret.IsZero() {
		return
	}
	fmt.Fprintf(p.out, "client secret  %s\n", secret.Reveal())
	fmt.Fprintln(p.err, "The secret is shown this once: only its hash is kept.")
}

// clientLine is a client as JSON.
type clientLine struct {
	ID                   string      `json:"client_id"`
	Name                 string      `json:"client_name"`
	Auth                 string      `json:"token_endpoint_auth_method"`
	FirstParty           bool        `json:"first_party"`
	GrantTypes           []string    `json:"grant_types"`
	Scope                string      `json:"scope,omitempty"`
	Resources            []string    `json:"resources,omitempty"`
	RedirectURIs         []string    `json:"redirect_uris,omitempty"`
	LogoutURIs           []string    `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI string      `json:"backchannel_logout_uri,omitempty"`
	DPoP                 bool        `json:"dpop_bound_access_tokens,omitempty"`
	Secrets              []time.Time `json:"secrets_created_at,omitempty"`
	CreatedAt            time.Time   `json:"created_at"`
}

func newClientLine(c bitjang.Client) clientLine {
	l := clientLine{
		ID: c.ID, Name: c.Name, Auth: string(c.Auth), FirstParty: c.FirstParty, GrantTypes: c.GrantTypes, Scope: strings.Join(c.Scopes, " "),
		Resources: c.Resources, RedirectURIs: c.RedirectURIs, LogoutURIs: c.LogoutURIs, BackchannelLogoutURI: c.BackchannelLogoutURI, DPoP: c.DPoP, CreatedAt: c.CreatedAt,
	}
	for _, s := range c.Secrets {
		l.Secrets = append(l.Secrets, s.CreatedAt)
	}
	return l
}

func (p *program) clientListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all clients",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				return p.listClients(cmd, svc, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addStoreSettings(cmd)
	return cmd
}

func (p *program) listClients(cmd *cobra.Command, svc *bitjang.Service, asJSON bool) error {
	list := jsonList{w: p.out}
	var t table
	if !asJSON {
		t = newTable(p.out, "CLIENT", "NAME", "AUTHENTICATES", "PARTY", "GRANTS", "SCOPES", "SECRETS", "CREATED")
	}
	for after := ""; ; {
		page, err := svc.Clients(cmd.Context(), after)
		if err != nil {
			return err
		}
		for _, c := range page {
			after = c.ID
			l := newClientLine(c)
			if asJSON {
				if err := list.add(l); err != nil {
					return err
				}
				continue
			}
			party := "third"
			if c.FirstParty {
				party = "first"
			}
			t.row(l.ID, l.Name, l.Auth, party, strings.Join(l.GrantTypes, ","), l.Scope, fmt.Sprint(len(l.Secrets)), short(l.CreatedAt))
		}
		if len(page) == 0 {
			break
		}
	}
	if asJSON {
		return list.end()
	}
	return t.Flush()
}

func (p *program) clientRotateCommand() *cobra.Command {
	var discard bool
	cmd := &cobra.Command{
		Use:   "rotate CLIENT",
		Short: "Give a client another secret",
		Long: `Rotate prints a new secret. The former one works until the next rotation, so
that the client can be given the new one first; --discard withdraws it at once,
which running servers notice within five seconds.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				_, secret, err := svc.RotateClientSecret(cmd.Context(), args[0], discard)
				if err != nil {
					return err
				}
				p.printClientSecret(secret)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&discard, "discard", false, "withdraw the former secrets at once")
	addStoreSettings(cmd)
	return cmd
}

func (p *program) clientRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove CLIENT",
		Short: "Remove a client: it gets no tokens any more",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				if err := svc.RemoveClient(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(p.out, "The client %s is removed. Access tokens it has run until they expire.\n", args[0])
				return nil
			})
		},
	}
	addStoreSettings(cmd)
	return cmd
}
