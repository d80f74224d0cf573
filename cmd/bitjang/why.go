package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

func (p *program) whyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "why USER|SESSION",
		Short: "Say in a sentence why somebody was logged out",
		Long: `Why explains what has become of a session, or of the sessions of a user (by id or
mail address), what happened last first. It knows what is kept: see
BITJANG_SESSION_RETENTION and the retention of events.`,
		Example: "  bitjang why ann@example.com\n  bitjang why 9f1c2a34-…",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				list, err := explanations(cmd.Context(), svc, args[0])
				if err != nil {
					return err
				}
				for i, x := range list {
					if i == limit {
						fmt.Fprintf(p.err, "There are %d more; --limit shows them.\n", len(list)-limit)
						break
					}
					fmt.Fprintln(p.out, sentence(x))
				}
				if len(list) == 0 {
					fmt.Fprintln(p.out, "Nothing is known: there was no session, or it is too long ago.")
				}
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 5, "how many sessions of a user")
	addStoreSettings(cmd)
	return cmd
}

// explanations are about a session, if the word is one's id, or else about a user.
func explanations(ctx context.Context, svc *bitjang.Service, word string) ([]bitjang.Explanation, error) {
	if id, err := bitjang.ParseSessionID(word); err == nil {
		sess, err := svc.SessionByID(ctx, id)
		if err == nil {
			return svc.Explain(ctx, sess.UserID, id)
		} else if !errors.Is(err, bitjang.ErrNoSuchSession) {
			return nil, err
		}
	}
	u, err := svc.FindUser(ctx, word)
	if err != nil {
		return nil, err
	}
	return svc.Explain(ctx, u.ID, bitjang.SessionID{})
}

// reasons finish the sentence "… was logged out at …, because …".
var reasons = map[string]string{
	string(bitjang.EndedByLogout):    "the user logged it out",
	string(bitjang.EndedByLogoutAll): "the user logged all devices out",
	string(bitjang.EndedByUser):      "the user ended it from another device",
	string(bitjang.EndedByAdmin):     "the operator ended it",
	string(bitjang.EndedByDisowner):  "the user said that it was somebody else",
	string(bitjang.EndedByDeletion):  "the user deleted the account",
	string(bitjang.EndedByPassword):  "the password was changed elsewhere",
	string(bitjang.EndedByReuse):     "an old refresh token came back, so two hands hold it: theft, or a client that keeps its tokens in two places",
	string(bitjang.EndedByStranger):  "its refresh was repeated at once from another device",
	string(bitjang.EndedByLimit):     "a newer login took the last place",
	string(bitjang.EndedByReplaced):  "the same device logged in anew",
	string(bitjang.EndedByDisabled):  "the account was disabled",
	string(bitjang.EndedByHold):      "it was on hold and nobody proved who they are in time",
	string(bitjang.EndedByRisk):      "its use did not fit its past",
	"idle":                           "it was not used for longer than refresh_ttl",
	"too_old":                        "it reached session_ttl",
}

// sentence is an explanation in words.
func sentence(x bitjang.Explanation) string {
	label := x.Session.Device.Label()
	name := cmp.Or(x.Session.Device.Name, strings.Trim(label.Browser+" on "+label.OS, " on"), "a device")
	who := fmt.Sprintf("%s (session %s)", name, x.Session.ID)
	if x.State == "active" {
		return fmt.Sprintf("%s is logged in, last seen at %s.", who, short(x.Session.LastSeenAt))
	}
	verb := "was logged out"
	if x.State == "held" {
		verb = "is on hold since"
	}
	text := fmt.Sprintf("%s %s at %s, because %s", who, verb, short(x.At), cmp.Or(reasons[x.Reason], x.Reason))
	text = strings.Replace(text, "since at", "since", 1)
	if e := x.Event; e != nil {
		if e.IP.IsValid() {
			text += fmt.Sprintf("; the request came from %s", e.IP)
		}
		if e.Detail != "" {
			text += fmt.Sprintf(" (%s)", e.Detail)
		}
	}
	return text + "."
}

func (p *program) auditCommand() *cobra.Command {
	return group("audit", "Check and export the audit trail", p.auditVerifyCommand(), p.auditExportCommand())
}

// errAudit says that the trail is not as it was written.
var errAudit = errors.New("the audit trail is not as it was written")

func (p *program) auditVerifyCommand() *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find changed, missing and added lines",
		Long: `Verify reads every event and checks the chain of seals. It needs the master key.
It prints the head of the chain: note it elsewhere and give it with --head the
next time, to see that nothing was cut off the end.`,
		Example: "  bitjang audit verify --head 4711:9f86d081884c7d65",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			svc, st, _, err := openService(cmd.Context(), c, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			r, err := svc.VerifyAudit(cmd.Context(), head)
			if err != nil {
				return err
			}
			for _, bad := range r.Problems {
				fmt.Fprintf(p.out, "event %d: %s\n", bad.ID, bad.What)
			}
			fmt.Fprintf(p.out, "%d events, %d sealed, %d too new for it, %d problems. Head: %s\n", r.Events, r.Sealed, r.Fresh, len(r.Problems), cmp.Or(r.Head, "none"))
			if len(r.Problems) > 0 {
				return errAudit
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "a head printed earlier, which must still be there")
	addSettings(cmd)
	return cmd
}

// auditLine is an event as JSON.
type auditLine struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	Actor     string    `json:"actor"`
	Type      string    `json:"type"`
	Outcome   string    `json:"outcome"`
	User      string    `json:"user,omitempty"`
	Session   string    `json:"session,omitempty"`
	IP        string    `json:"ip,omitempty"`
	Device    string    `json:"device,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Count     int       `json:"count,omitempty"`
	Seal      string    `json:"seal,omitempty"`
}

func (p *program) auditExportCommand() *cobra.Command {
	var x eventExport
	var since string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Print events as JSON lines, the oldest first",
		Example: "  bitjang audit export --after 4711 >>events.jsonl\n  bitjang audit export --since 7d --user ann@example.com",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			if x.since, err = sinceWhen(since, time.Now()); err != nil {
				return usage(err, "a duration before now like 12h or 7d, or a date like 2026-11-01")
			}
			return withAccounts(cmd.Context(), c, false, func(svc *bitjang.Service) error {
				return p.exportEvents(cmd.Context(), svc, x)
			})
		},
	}
	cmd.Flags().Int64Var(&x.after, "after", 0, "begin after the event with this number")
	cmd.Flags().StringVar(&since, "since", "", "only events since then: 12h, 7d or 2026-11-01")
	cmd.Flags().StringVar(&x.user, "user", "", "only events of this user, by id or mail address")
	addStoreSettings(cmd)
	return cmd
}

// eventExport says which events to print.
type eventExport struct {
	after int64
	since time.Time
	user  string
}

func sinceWhen(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := parseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no moment", text)
}

func (p *program) exportEvents(ctx context.Context, svc *bitjang.Service, x eventExport) error {
	id, after := "", x.after
	if x.user != "" {
		u, err := svc.FindUser(ctx, x.user)
		if err != nil {
			return err
		}
		id = u.ID
	}
	for {
		list, err := svc.EventsFrom(ctx, after)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			after = e.ID
			if id != "" && e.UserID != id {
				continue
			}
			if e.At.Before(x.since) {
				continue
			}
			line := auditLine{ID: e.ID, At: e.At, Actor: e.Actor(), Type: string(e.Type), Outcome: e.Outcome(), User: e.UserID, Session: e.SessionID.String(),
				UserAgent: e.UserAgent, Reason: e.Reason, Detail: e.Detail, Count: e.Count, Seal: fmt.Sprintf("%x", e.Seal)}
			if e.UserAgent != "" {
				line.Device = deviceText(bitjang.Device{UserAgent: e.UserAgent})
			}
			if e.IP.IsValid() {
				line.IP = e.IP.String()
			}
			if err := json.NewEncoder(p.out).Encode(line); err != nil {
				return err
			}
		}
	}
}
