package pages

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// application is a client that can do something for a person: they have allowed
// it, or it has sessions of theirs.
type application struct {
	ID       string
	Name     string
	Own      bool // of whoever runs this service
	Since    time.Time
	LastSeen time.Time
	Sessions int
	Scopes   []scope

	words []string
}

type applicationsPage struct {
	frame
	Applications []application
}

// Applications is GET /account/applications.
func (p *Pages) Applications(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		list, err := p.applications(r, u.ID)
		if err != nil {
			return err
		}
		return p.show(w, r, http.StatusOK, "applications", &applicationsPage{frame: frame{SignedIn: true}, Applications: list})
	})
}

// applications lists them by name.
func (p *Pages) applications(r *http.Request, userID string) ([]application, error) {
	consents, err := p.Service.Consents(r.Context(), userID)
	if err != nil {
		return nil, err
	}
	live, err := p.Service.Sessions(r.Context(), userID)
	if err != nil {
		return nil, err
	}
	list := gather(consents, live)
	say := p.printer(r)
	for i := range list {
		a := &list[i]
		a.Name, a.Own, err = p.clientName(r, a.ID)
		if err != nil {
			return nil, err
		}
		a.Scopes = inScopes(say, a.words)
	}
	slices.SortStableFunc(list, func(a, b application) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// gather puts together what belongs to the same client.
func gather(consents []bitjang.Consent, live []bitjang.Session) []application {
	var list []application
	of := func(id string) *application {
		i := slices.IndexFunc(list, func(a application) bool { return a.ID == id })
		if i < 0 {
			i = len(list)
			list = append(list, application{ID: id})
		}
		return &list[i]
	}
	note := func(a *application, since time.Time, words string) {
		if a.Since.IsZero() || since.Before(a.Since) {
			a.Since = since
		}
		for _, w := range strings.Fields(words) {
			if !slices.Contains(a.words, w) {
				a.words = append(a.words, w)
			}
		}
	}
	for _, c := range consents {
		note(of(c.ClientID), c.At, c.Scope)
	}
	for i := range live {
		if s := &live[i]; ofClient(s) {
			a := of(s.ClientID)
			note(a, s.CreatedAt, s.Scope)
			a.Sessions++
			if s.LastSeenAt.After(a.LastSeen) {
				a.LastSeen = s.LastSeenAt
			}
		}
	}
	return list
}

// ofClient tells a client's session from a login: it is for an audience.
func ofClient(s *bitjang.Session) bool { return s.Audience != "" }

// clientName is what people know an application by: its id, once it is not
// registered any more.
func (p *Pages) clientName(r *http.Request, id string) (name string, own bool, err error) {
	c, err := p.Service.Client(r.Context(), id)
	switch {
	case err == nil:
		return c.Name, c.FirstParty, nil
	case bitjang.AsError(err).Code == bitjang.NotFound:
		return id, false, nil
	}
	return "", false, err
}

// clientNames finds the names of applications, each once.
type clientNames struct {
	find  func(id string) (string, error)
	known map[string]string
}

func (p *Pages) names(r *http.Request) clientNames {
	find := func(id string) (string, error) {
		name, _, err := p.clientName(r, id)
		return name, err
	}
	return clientNames{find, map[string]string{}}
}

func (n clientNames) of(id string) (name string, err error) {
	name, ok := n.known[id]
	if !ok {
		name, err = n.find(id)
		n.known[id] = name
	}
	return name, err
}

// Withdraw is POST /account/applications/{id}/withdraw.
func (p *Pages) Withdraw(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		list, err := p.applications(r, u.ID)
		if err != nil {
			return err
		}
		id := r.PathValue("id")
		if !slices.ContainsFunc(list, func(a application) bool { return a.ID == id }) {
			return web.Refuse(http.StatusNotFound, bitjang.ErrNoSuchClient.Reason, "This application has no access.")
		}
		if err := p.Service.WithdrawConsent(r.Context(), u.ID, id, p.caller(r)); err != nil {
			return err
		}
		return goTo(w, r, "/account/applications?notice=access_withdrawn")
	})
}
