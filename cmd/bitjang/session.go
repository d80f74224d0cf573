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

func (p *program) sessionCommand() *cobra.Command {
	return group("session", "Look at and end sessions", p.sessionListCommand(), p.sessionEndCommand())
}

func (p *program) sessionListCommand() *cobra.Command {
	l := &sessionLister{program: p}
	cmd := &cobra.Command{
		Use:   "list [ID|EMAIL]",
		Short: "List the live sessions of a user, or of everybody",
		Args:  maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			if l.limit < 1 {
				return usage(errors.New("--limit must be at least 1"), "leave it out for 100")
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				l.svc = svc
				return l.run(cmd.Context(), args)
			})
		},
	}
	cmd.Flags().BoolVar(&l.ended, "ended", false, "list ended and expired sessions instead, and why they ended")
	cmd.Flags().BoolVar(&l.asJSON, "json", false, "print JSON")
	cmd.Flags().IntVar(&l.limit, "limit", 100, "list at most so many")
	addStoreSettings(cmd)
	return cmd
}

// sessionLister goes from user to user until it has listed enough.
type sessionLister struct {
	*program
	svc    *bitjang.Service
	ended  bool
	asJSON bool
	limit  int

	listed int
	more   bool
	table  table
	json   jsonList
}

func (l *sessionLister) run(ctx context.Context, args []string) error {
	columns := []string{"SESSION", "USER", "STATE", "DEVICE", "IP", "CREATED", "LAST SEEN"}
	if l.ended {
		columns = append(columns, "ENDED", "REASON")
	}
	l.json.w = l.out
	if !l.asJSON {
		l.table = newTable(l.out, columns...)
	}
	var err error
	if len(args) == 1 {
		err = l.ofName(ctx, args[0])
	} else {
		err = l.ofEverybody(ctx)
	}
	if err != nil {
		return err
	}
	if l.asJSON {
		err = l.json.end()
	} else {
		err = l.table.Flush()
	}
	if l.more {
		fmt.Fprintf(l.err, "There are more than these %d; --limit lists more.\n", l.limit)
	}
	return err
}

func (l *sessionLister) ofName(ctx context.Context, name string) error {
	u, err := l.svc.FindUser(ctx, name)
	if err != nil {
		return err
	}
	return l.ofUser(ctx, u)
}

func (l *sessionLister) ofEverybody(ctx context.Context) error {
	seen, progress := 0, newProgress(l.err)
	return eachUser(ctx, l.svc, func(u bitjang.User) (bool, error) {
		seen++
		progress.report("%d users looked at, %d sessions found", seen, l.listed)
		return !l.more, l.ofUser(ctx, u)
	})
}

func (l *sessionLister) ofUser(ctx context.Context, u bitjang.User) error {
	find := l.svc.Sessions
	if l.ended {
		find = l.svc.EndedSessions
	}
	sessions, err := find(ctx, u.ID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if l.listed == l.limit {
			l.more = true
			return nil
		}
		l.listed++
		if err := l.print(newSessionLine(s, u, time.Now())); err != nil {
			return err
		}
	}
	return nil
}

// sessionLine is a session as JSON.
type sessionLine struct {
	ID         string     `json:"id"`
	UserID     string     `json:"user_id"`
	Email      string     `json:"email"`
	State      string     `json:"state"`
	HeldFor    string     `json:"held_for,omitempty"`
	Device     string     `json:"device"`
	IP         string     `json:"ip,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSeenAt time.Time  `json:"last_seen_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	Reason     string     `json:"reason,omitempty"`
}

func newSessionLine(s bitjang.Session, u bitjang.User, now time.Time) sessionLine {
	l := sessionLine{
		ID: s.ID.String(), UserID: s.UserID, Email: u.Email, State: s.StateAt(now), HeldFor: s.HeldFor,
		Device: deviceText(s.Device), CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt, ExpiresAt: s.RefreshExpiresAt(),
	}
	if s.IP.IsValid() {
		l.IP = s.IP.String()
	}
	if dead := s.DeadSince(); !now.Before(dead) {
		l.EndedAt, l.Reason = &dead, string(s.EndReason)
		if l.Reason == "" {
			l.Reason = "expired"
		}
	}
	return l
}

// deviceText is the user's name for a device, or what we can tell of it.
func deviceText(d bitjang.Device) string {
	label := d.Label()
	var words []string
	for _, w := range []string{d.Name, label.Browser, label.OS} {
		if w != "" {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return label.Type
	}
	return strings.Join(words, ", ")
}

func (l *sessionLister) print(line sessionLine) error {
	if l.asJSON {
		return l.json.add(line)
	}
	cells := []string{line.ID, line.Email, line.State, line.Device, line.IP, short(line.CreatedAt), short(line.LastSeenAt)}
	if line.EndedAt != nil {
		cells = append(cells, short(*line.EndedAt), line.Reason)
	}
	l.table.row(cells...)
	return nil
}

func (p *program) sessionEndCommand() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "end [SESSION]",
		Short: "End a session, or with --user all of a user's",
		Args:  maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (user != "") {
				return usage(errors.New("which session?"), `name one session, or a user: "bitjang session end --user ann@example.com"`)
			}
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				if user != "" {
					return p.endSessionsOf(cmd.Context(), svc, user)
				}
				return p.endSession(cmd.Context(), svc, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "id or mail address of the user to log out everywhere")
	addStoreSettings(cmd)
	return cmd
}

func (p *program) endSession(ctx context.Context, svc *bitjang.Service, text string) error {
	id, err := bitjang.ParseSessionID(text)
	if err != nil {
		return fmt.Errorf("%q: %w", text, bitjang.ErrNoSuchSession)
	}
	s, err := svc.SessionByID(ctx, id)
	if err != nil {
		return err
	}
	if !s.EndedAt.IsZero() {
		fmt.Fprintf(p.out, "Session %s had ended already, at %s (%s).\n", id, short(s.EndedAt), s.EndReason)
		return nil
	}
	if err := svc.EndSession(ctx, bitjang.EndSessionInput{ID: id, Reason: bitjang.EndedByAdmin}); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Session %s is ended.\n", id)
	return nil
}

func (p *program) endSessionsOf(ctx context.Context, svc *bitjang.Service, name string) error {
	u, err := svc.FindUser(ctx, name)
	if err != nil {
		return err
	}
	n, err := svc.EndSessions(ctx, bitjang.EndSessionsInput{UserID: u.ID, Reason: bitjang.EndedByAdmin})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%s of %s ended.\n", sessionCount(n), u.Email)
	return nil
}

func sessionCount(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}
