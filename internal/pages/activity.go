package pages

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
	"github.com/bitjang/bitjang/internal/web"
)

// device is a session as its owner sees it.
type device struct {
	ID        string
	Name      string
	Browser   string
	OS        string
	Type      string // desktop, mobile, tablet, bot or unknown
	IP        string
	Place     string
	FirstSeen time.Time
	LastSeen  time.Time
	Current   bool
	Held      bool
	App       bool // an application's, not a login of the person's own

	offered bool // that it wasn't me
}

// on says which browser it is on which system, as far as both are known.
func (d device) on(say *i18n.Printer) string {
	if d.Browser == "" || d.OS == "" {
		return cmp.Or(d.Browser, d.OS)
	}
	return say.T("device.on", "Browser", d.Browser, "OS", d.OS)
}

func (p *Pages) device(s *bitjang.Session, current bitjang.SessionID, language string) device {
	label := s.Device.Label()
	d := device{
		ID: s.ID.String(), Name: s.Device.Name, Browser: label.Browser, OS: label.OS, Type: label.Type,
		FirstSeen: s.CreatedAt, LastSeen: s.LastSeenAt, Current: s.ID == current, Held: !s.HeldAt.IsZero(), App: ofClient(s),
	}
	if s.IP.IsValid() {
		d.IP, d.Place = s.IP.String(), p.Places(s.IP, language)
	}
	return d
}

// happening is an event in plain words.
type happening struct {
	Text    string
	At      time.Time
	Device  string
	IP      string
	Session string // where "this wasn't me" still does something, once for each device
}

type activityPage struct {
	frame
	Devices []device // this one first
	Why     string   // the last device that was logged out or put on hold unasked, and why
	Events  []happening
	Older   int64 // the cursor of the next page of events
}

const eventsPerPage = 20

// Activity is GET /account/activity?before=CURSOR.
func (p *Pages) Activity(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, u bitjang.User) error {
		v, err := p.activity(r, who.Session.ID, u.ID)
		if err != nil {
			return err
		}
		return p.show(w, r, http.StatusOK, "activity", v)
	})
}

func (p *Pages) activity(r *http.Request, current bitjang.SessionID, userID string) (*activityPage, error) {
	v := &activityPage{frame: frame{SignedIn: true}}
	live, err := p.Service.Sessions(r.Context(), userID)
	if err != nil {
		return nil, err
	}
	say := p.printer(r)
	alive, names := map[bitjang.SessionID]device{}, p.names(r)
	for i := range live {
		d := p.device(&live[i], current, say.Language)
		if d.App {
			// Whatever its session was called: people must know whom they end.
			if d.Name, err = names.of(live[i].ClientID); err != nil {
				return nil, err
			}
		}
		alive[live[i].ID] = d
		v.Devices = append(v.Devices, d)
	}
	slices.SortStableFunc(v.Devices, func(a, b device) int {
		return cmp.Or(first(a.Current, b.Current), first(!a.App, !b.App))
	})
	if v.Why, err = p.why(r, say, userID); err != nil {
		return nil, err
	}
	before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64) // nonsense is the first page
	events, err := p.Service.Activity(r.Context(), userID, max(0, before), eventsPerPage)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		v.Older = e.ID
		if e.Type == bitjang.EventRisk && e.Reason != string(bitjang.RiskNotify) {
			continue // nothing for the user to do
		}
		h, err := tell(say, e, names)
		if err != nil {
			return nil, err
		}
		if d, lives := alive[e.SessionID]; lives {
			h.Device = cmp.Or(d.Name, d.on(say), h.Device) // as it is called above
			if !d.Current && !d.offered {
				h.Session, d.offered = d.ID, true
				alive[e.SessionID] = d
			}
		}
		v.Events = append(v.Events, h)
	}
	if len(events) < eventsPerPage {
		v.Older = 0
	}
	return v, nil
}

// first sorts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// tell puts an event into words. The reason is said where it has words of its own.
func tell(say *i18n.Printer, e bitjang.Event, names clientNames) (happening, error) {
	client := ""
	switch e.Type {
	case bitjang.EventClientSession, bitjang.EventConsent, bitjang.EventConsentTaken:
		var err error
		if client, err = names.of(e.Reason); err != nil {
			return happening{}, err
		}
	}
	h := happening{At: e.At, Text: say.T("event."+string(e.Type), "Count", e.Count, "Client", client)}
	if id := "reason." + e.Reason; e.Reason != "" && say.Has(id) {
		h.Text += " " + say.T(id)
	}
	if noticed := inWords(say, e.Signals()); noticed != "" {
		h.Text += " " + say.T("activity.noticed", "Noticed", noticed)
	}
	label := bitjang.Device{UserAgent: e.UserAgent}.Label()
	h.Device = device{Browser: label.Browser, OS: label.OS}.on(say)
	if e.IP.IsValid() {
		h.IP = e.IP.String()
	}
	return h, nil
}

// session is the session that a path names. It may be anybody's: the Service
// looks whose it is.
func session(r *http.Request) (bitjang.SessionID, error) {
	id, err := bitjang.ParseSessionID(r.PathValue("id"))
	if err != nil {
		return id, web.Refuse(http.StatusNotFound, "session_not_found", "No such session.")
	}
	return id, nil
}

// onSession is for what one does to one of one's own sessions.
func (p *Pages) onSession(w http.ResponseWriter, r *http.Request, notice string, do func(bitjang.User, bitjang.SessionID) error) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		id, err := session(r)
		if err == nil {
			err = do(u, id)
		}
		if err != nil {
			return err
		}
		return goTo(w, r, notice)
	})
}

// NameSession is POST /account/sessions/{id}/name.
func (p *Pages) NameSession(w http.ResponseWriter, r *http.Request) error {
	return p.onSession(w, r, "/account/activity?notice=renamed", func(u bitjang.User, id bitjang.SessionID) error {
		_, err := p.Service.NameSession(r.Context(), u.ID, id, r.PostFormValue("name"))
		return err
	})
}

// EndSession is POST /account/sessions/{id}/end.
func (p *Pages) EndSession(w http.ResponseWriter, r *http.Request) error {
	return p.onSession(w, r, "/account/activity?notice=session_ended", func(u bitjang.User, id bitjang.SessionID) error {
		return p.Service.EndSession(r.Context(), bitjang.EndSessionInput{UserID: u.ID, ID: id, Reason: bitjang.EndedByUser, Caller: p.caller(r)})
	})
}

// DisownForm is GET /account/sessions/{id}/not-me.
func (p *Pages) DisownForm(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(bitjang.Admission, bitjang.User) error {
		if _, err := session(r); err != nil {
			return err
		}
		v := p.confirmation(r, "notme", true)
		v.SignedIn, v.Back = true, "/account/activity"
		return p.show(w, r, http.StatusOK, "confirm", v)
	})
}

// Disown is POST /account/sessions/{id}/not-me. Whoever it was may know the
// password, so the way leads to a new one.
func (p *Pages) Disown(w http.ResponseWriter, r *http.Request) error {
	return p.onSession(w, r, "/account/security?notice=disowned", func(u bitjang.User, id bitjang.SessionID) error {
		return p.Service.DisownSession(r.Context(), u.ID, id, p.caller(r))
	})
}

// EndOthers is POST /account/sessions/end-others.
func (p *Pages) EndOthers(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, u bitjang.User) error {
		_, err := p.Service.EndSessions(r.Context(), bitjang.EndSessionsInput{UserID: u.ID, Except: who.Session.ID, Reason: bitjang.EndedByLogoutAll, Caller: p.caller(r)})
		if err != nil {
			return err
		}
		return goTo(w, r, "/account/activity?notice=others_ended")
	})
}
