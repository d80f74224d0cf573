package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

func (p *program) userCommand() *cobra.Command {
	return group("user", "Add, invite, list, lock and unlock users, set passwords",
		p.userAddCommand(), p.userInviteCommand(), p.userListCommand(), p.userDisableCommand(), p.userEnableCommand(), p.userUnlockCommand(), p.userFactorsCommand(), p.userPasswdCommand())
}

func (p *program) userAddCommand() *cobra.Command {
	var in bitjang.AddUserInput
	var source passwordSource
	var hashOnStdin bool
	cmd := &cobra.Command{
		Use:   "add EMAIL",
		Short: "Add a user",
		Long: `Add makes an account, also while signing up is closed. It takes the password
from standard input, makes one up, or takes the hash that another system made
(argon2, scrypt, bcrypt, pbkdf2); that one is replaced when the user logs in.`,
		Example: "  bitjang user add ann@example.com --generate --role admin\n  bitjang user add bob@example.com --password-stdin <password.txt",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Email = args[0]
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			switch {
			case hashOnStdin && (source.stdin || source.generate):
				return errTwoPasswords
			case hashOnStdin:
				in.PasswordHash, err = p.readLine("password hash")
			default:
				in.Password, err = p.password(source)
			}
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, true, func(svc *bitjang.Service) error {
				u, err := svc.AddUser(cmd.Context(), in)
				if err != nil {
					return err
				}
				fmt.Fprintf(p.out, "Added %s with the id %s.\n", u.Email, u.ID)
				p.printGenerated(source, in.Password)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "name to show to people")
	cmd.Flags().StringArrayVar(&in.Roles, "role", nil, "a role, for the applications; repeat for more")
	cmd.Flags().BoolVar(&hashOnStdin, "password-hash-stdin", false, "read a password hash from standard input")
	source.addFlags(cmd)
	addStoreSettings(cmd)
	return cmd
}

func (p *program) userInviteCommand() *cobra.Command {
	var language string
	cmd := &cobra.Command{
		Use:   "invite EMAIL",
		Short: "Let somebody sign up",
		Long: `Invite prints a link with which the owner of a mail address can sign up once,
within a week, and mails it if a mail server is set. Where signing up is open,
nobody needs one.`,
		Example: "  bitjang user invite ann@example.com --language ko",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			svc, st, _, err := openService(cmd.Context(), c, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			link, err := svc.Invite(cmd.Context(), args[0], language)
			if err != nil {
				return err
			}
			fmt.Fprintln(p.out, link.Reveal())
			if c.smtp != "" {
				fmt.Fprintf(p.err, "The running server mails it to %s.\n", args[0])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&language, "language", "en", "language of the mail: en or ko")
	addSettings(cmd)
	return cmd
}

// userLine is a user as JSON.
type userLine struct {
	ID         string     `json:"id"`
	Email      string     `json:"email"`
	Name       string     `json:"name,omitempty"`
	Roles      []string   `json:"roles,omitempty"`
	State      string     `json:"state"`
	CreatedAt  time.Time  `json:"created_at"`
	DisabledAt *time.Time `json:"disabled_at,omitempty"`
}

func newUserLine(u bitjang.User) userLine {
	l := userLine{ID: u.ID, Email: u.Email, Name: u.Name, Roles: u.Roles, State: "active", CreatedAt: u.CreatedAt}
	if !u.DisabledAt.IsZero() {
		l.State, l.DisabledAt = "disabled", &u.DisabledAt
	}
	return l
}

// eachUser calls visit for every user, page by page, until it says no.
func eachUser(ctx context.Context, svc *bitjang.Service, visit func(bitjang.User) (more bool, err error)) error {
	for after := ""; ; {
		page, err := svc.Users(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			if more, err := visit(u); err != nil || !more {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

func (p *program) userListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all users",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				return p.listUsers(cmd.Context(), svc, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addStoreSettings(cmd)
	return cmd
}

func (p *program) listUsers(ctx context.Context, svc *bitjang.Service, asJSON bool) error {
	if asJSON {
		list := jsonList{w: p.out}
		err := eachUser(ctx, svc, func(u bitjang.User) (bool, error) { return true, list.add(newUserLine(u)) })
		if err != nil {
			return err
		}
		return list.end()
	}
	t := newTable(p.out, "ID", "EMAIL", "STATE", "CREATED", "ROLES", "NAME")
	seen, progress := 0, newProgress(p.err)
	err := eachUser(ctx, svc, func(u bitjang.User) (bool, error) {
		seen++
		progress.report("%d users found", seen)
		l := newUserLine(u)
		t.row(l.ID, l.Email, l.State, short(l.CreatedAt), strings.Join(l.Roles, ","), l.Name)
		return true, nil
	})
	if err != nil {
		return err
	}
	return t.Flush()
}

// changeUserCommand is a command that does one thing to one user.
func (p *program) changeUserCommand(use, text string, change func(context.Context, *bitjang.Service, bitjang.User) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use + " ID|EMAIL",
		Short: text,
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				u, err := svc.FindUser(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return change(cmd.Context(), svc, u)
			})
		},
	}
	addStoreSettings(cmd)
	return cmd
}

func (p *program) userDisableCommand() *cobra.Command {
	return p.changeUserCommand("disable", "Lock an account and end its sessions",
		func(ctx context.Context, svc *bitjang.Service, u bitjang.User) error {
			if _, err := svc.DisableUser(ctx, u.ID); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s is disabled and logged out everywhere. Access tokens already handed out run until they expire.\n", u.Email)
			return nil
		})
}

func (p *program) userEnableCommand() *cobra.Command {
	return p.changeUserCommand("enable", "Unlock an account",
		func(ctx context.Context, svc *bitjang.Service, u bitjang.User) error {
			if _, err := svc.EnableUser(ctx, u.ID); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s may log in again.\n", u.Email)
			return nil
		})
}

func (p *program) userFactorsCommand() *cobra.Command {
	var reset bool
	cmd := p.changeUserCommand("factors", "List a user's second factors, or take all of them away",
		func(ctx context.Context, svc *bitjang.Service, u bitjang.User) error {
			if reset {
				n, err := svc.ResetFactors(ctx, u.ID)
				if err == nil {
					fmt.Fprintf(p.out, "%s has lost %d factors and logs in with the password alone.\n", u.Email, n)
				}
				return err
			}
			list, err := svc.Factors(ctx, u.ID)
			if err != nil {
				return err
			}
			t := newTable(p.out, "ID", "KIND", "NAME", "CREATED", "USED")
			for _, f := range list {
				t.row(f.ID, string(f.Kind), f.Name, short(f.CreatedAt), short(f.UsedAt))
			}
			return t.Flush()
		})
	cmd.Flags().BoolVar(&reset, "reset", false, "take all of them away, for a user who has lost them")
	return cmd
}

func (p *program) userUnlockCommand() *cobra.Command {
	return p.changeUserCommand("unlock", "Lift the lockouts that wrong passwords have brought upon an account",
		func(ctx context.Context, svc *bitjang.Service, u bitjang.User) error {
			if _, err := svc.UnlockUser(ctx, u.ID); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s may try to log in again, from any device. A limit of the network it comes from stays.\n", u.Email)
			return nil
		})
}

func (p *program) userPasswdCommand() *cobra.Command {
	var source passwordSource
	cmd := p.changeUserCommand("passwd", "Set a user's password and end all of the user's sessions",
		func(ctx context.Context, svc *bitjang.Service, u bitjang.User) error {
			password, err := p.password(source)
			if err != nil {
				return err
			}
			if err := svc.SetPassword(ctx, u.ID, password); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "The password of %s is set, and %s is logged out everywhere.\n", u.Email, u.Email)
			p.printGenerated(source, password)
			return nil
		})
	source.addFlags(cmd)
	return cmd
}
