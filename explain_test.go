package bitjang_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// TestEveryEndIsExplained ends a session in every way there is.
func TestEveryEndIsExplained(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want string
		run  func(s *scene)
		from string // where it came from, "" if no event tells
	}{
		{"", func(*scene) {}, ""},
		{"idle", func(s *scene) { s.clock.turn(46 * aDay) }, ""},
		{"too_old", func(s *scene) {
			for range 4 {
				s.use(25*aDay, laptopAtHome)
			}
		}, ""},
		{"logout", func(s *scene) {
			checkErr(s.t, s.Logout(s.t.Context(), bitjang.LogoutInput{Refresh: s.tokens.Refresh, Caller: laptopAtHome}), nil)
		}, "198.18.1.7"},
		{"ended_by_admin", func(s *scene) {
			checkErr(s.t, s.Service.EndSession(s.t.Context(), bitjang.EndSessionInput{ID: s.tokens.Session.ID, Reason: bitjang.EndedByAdmin}), nil)
		}, ""},
		{"logout_all", func(s *scene) {
			_, err := s.EndSessions(s.t.Context(), bitjang.EndSessionsInput{UserID: s.tokens.Session.UserID, Reason: bitjang.EndedByLogoutAll, Caller: fromPhone})
			checkErr(s.t, err, nil)
		}, "192.0.2.2"},
		{"replaced", func(s *scene) { s.login(s.t, laptopAtHome) }, "198.18.1.7"},
		{"risk", func(s *scene) { s.steal(hour, at("198.18.4.5", "", firefox)) }, "198.18.4.5"},
		{"hold_expired", func(s *scene) { s.steal(hour, at("198.18.4.5", "", firefox)); s.clock.turn(2 * aDay) }, ""},
		{"retry_from_other_device", func(s *scene) {
			s.lost(hour, laptopAtHome)
			s.steal(time.Second, at("198.18.4.5", "thief", firefox))
		}, "198.18.4.5"},
		{"refresh_token_reuse", func(s *scene) {
			old := s.tokens
			s.use(hour, laptopAtHome)
			s.use(hour, laptopAtHome)
			s.tokens = old
			s.steal(hour, at("198.18.4.5", "laptop", firefox))
		}, "198.18.4.5"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, laptopAtHome)
			tt.run(s)
			list, err := s.Explain(t.Context(), s.tokens.Session.UserID, s.tokens.Session.ID)
			checkErr(t, err, nil)
			if len(list) != 1 {
				t.Fatalf("got %d explanations, want one", len(list))
			}
			x, from := list[0], ""
			if x.Event != nil && x.Event.IP.IsValid() {
				from = x.Event.IP.String()
			}
			if x.Reason != tt.want || from != tt.from {
				t.Errorf("got %q from %q, want %q from %q", x.Reason, from, tt.want, tt.from)
			}
			if x.Asked() != slices.Contains([]string{"", "logout", "logout_all", "replaced"}, tt.want) {
				t.Errorf("%q: got asked for %v", tt.want, x.Asked())
			}
			if tt.want == "risk" && len(bitjang.PlainSignals(x.Signals)) == 0 {
				t.Errorf("got %+v, want what was noticed", x.Signals)
			}
		})
	}
}

func TestWhoAndHowAnEventWas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		e              bitjang.Event
		actor, outcome string
	}{
		{bitjang.Event{Type: bitjang.EventLogin, IP: fromLaptop.IP}, "user", "success"},
		{bitjang.Event{Type: bitjang.EventLoginFailed, IP: fromThief.IP}, "unknown", "failure"},
		{bitjang.Event{Type: bitjang.EventSessionEnded, IP: fromLaptop.IP, Reason: "logout"}, "user", "ended"},
		{bitjang.Event{Type: bitjang.EventSessionEnded, Reason: "ended_by_admin"}, "operator", "ended"},
		{bitjang.Event{Type: bitjang.EventSessionEnded, IP: fromThief.IP, Reason: "risk"}, "service", "ended"},
		{bitjang.Event{Type: bitjang.EventPasswordChanged}, "operator", "success"},
		{bitjang.Event{Type: bitjang.EventRisk, Reason: "notify", IP: fromLaptop.IP}, "service", "notify"},
	} {
		if tt.e.Actor() != tt.actor || tt.e.Outcome() != tt.outcome {
			t.Errorf("%s %s: got %s, %s, want %s, %s", tt.e.Type, tt.e.Reason, tt.e.Actor(), tt.e.Outcome(), tt.actor, tt.outcome)
		}
	}
}
