package bitjang

import (
	"testing"
	"time"
)

var (
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	laptop = Device{ID: "laptop", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	phone  = Device{ID: "phone", UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"}
)

const grace = 30 * time.Second

// rotating is a session whose confirmed token is of generation 5, confirmed a
// minute before noon, when its child was minted, too.
func rotating() Session {
	return Session{
		Rotation: Rotation{
			Generation: 5, Nonce: Nonce{5}, Parent: Nonce{4},
			ConfirmedAt: noon.Add(-time.Minute), ChildAt: noon.Add(-time.Minute),
		},
		IdleExpiresAt: noon.Add(time.Hour), ExpiresAt: noon.Add(24 * time.Hour),
		Device: laptop,
	}
}

func token(generation uint32, nonce, parent byte) refreshToken {
	return refreshToken{generation: generation, nonce: Nonce{nonce}, parent: Nonce{parent}}
}

// TestJudge is the table of docs/rotation.md, rows 3 to 10; the first two are
// decided before there is a session to judge.
func TestJudge(t *testing.T) {
	current, next, last := token(5, 5, 4), token(6, 6, 5), token(4, 4, 3)
	with := func(change func(*Session)) Session {
		s := rotating()
		change(&s)
		return s
	}
	minted := func(ago time.Duration) Session { return with(func(s *Session) { s.ChildAt = noon.Add(-ago) }) }
	for _, tt := range []struct {
		name    string
		session Session
		token   refreshToken
		from    Device
		want    verdict
	}{
		{"3: an ended session is dead", with(func(s *Session) { s.EndedAt = noon }), next, laptop, verdictDead},
		{"3: an old token of an ended session is no new theft", with(func(s *Session) { s.EndedAt = noon }), token(1, 1, 0), laptop, verdictDead},
		{"3: a session past its idle expiry is dead", with(func(s *Session) { s.IdleExpiresAt = noon }), next, laptop, verdictDead},
		{"3: a session past its absolute expiry is dead", with(func(s *Session) { s.ExpiresAt = noon }), next, laptop, verdictDead},
		{"3: a held session gives nobody tokens", with(func(s *Session) { s.HeldAt = noon }), next, laptop, verdictDead},
		{"3: a millisecond before its expiry a session lives", with(func(s *Session) { s.IdleExpiresAt = noon.Add(time.Millisecond) }), next, laptop, verdictConfirm},

		{"4: a child of the confirmed token confirms", rotating(), next, laptop, verdictConfirm},
		{"4: from another device too: risk is judged later", rotating(), next, phone, verdictConfirm},
		{"4: any of several children confirms", rotating(), token(6, 66, 5), laptop, verdictConfirm},

		{"5: the confirmed token for the first time", with(func(s *Session) { s.ChildAt = time.Time{} }), current, laptop, verdictFirst},
		{"5: from another device too", with(func(s *Session) { s.ChildAt = time.Time{} }), current, phone, verdictFirst},

		{"6: again within grace", minted(grace - time.Millisecond), current, laptop, verdictRetry},
		{"6: again at the last moment of grace", minted(grace), current, laptop, verdictRetry},
		{"6: again within grace, the child seen", with(func(s *Session) { s.ChildAt, s.ChildSeenAt = noon.Add(-grace), noon.Add(-grace) }), current, laptop, verdictRetry},
		{"6: again within grace from another device", minted(time.Second), current, phone, verdictElsewhere},

		{"7: later, the response was lost", minted(grace + time.Millisecond), current, laptop, verdictRecover},
		{"7: days later", minted(10 * 24 * time.Hour), current, laptop, verdictRecover},
		{"7: later, the child seen just now", with(func(s *Session) { s.ChildSeenAt = noon.Add(-grace) }), current, laptop, verdictRecover},
		{"10: later, the child seen long ago", with(func(s *Session) { s.ChildSeenAt = noon.Add(-grace - time.Millisecond) }), current, laptop, verdictReplay},
		{"10: later, from another device", rotating(), current, phone, verdictReplay},

		{"8: the token before, within grace", with(func(s *Session) { s.ConfirmedAt = noon.Add(-grace) }), last, laptop, verdictSuperseded},
		{"10: the token before, after grace", with(func(s *Session) { s.ConfirmedAt = noon.Add(-grace - time.Millisecond) }), last, laptop, verdictReplay},
		{"10: a sibling of the token before, within grace", with(func(s *Session) { s.ConfirmedAt = noon }), token(4, 44, 3), laptop, verdictReplay},
		{"10: the token before the one before, within grace", with(func(s *Session) { s.ConfirmedAt = noon }), token(3, 3, 2), laptop, verdictReplay},

		{"9: two generations ahead", rotating(), token(7, 7, 6), laptop, verdictAhead},
		{"9: many generations ahead", rotating(), token(1<<32-1, 7, 6), laptop, verdictAhead},
		{"9: one generation ahead of another parent", rotating(), token(6, 6, 55), laptop, verdictAhead},

		{"10: a sibling of the confirmed token", rotating(), token(5, 55, 4), laptop, verdictReplay},
		{"10: the token of the login", rotating(), token(0, 1, 0), laptop, verdictReplay},
		{"10: the nonce of the confirmed token at another generation", rotating(), token(4, 5, 4), laptop, verdictReplay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.session
			if got := judge(&tt.session, tt.token, noon, Caller{Device: tt.from}, grace); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if tt.session.Rotation != before.Rotation {
				t.Error("judging changed the session")
			}
		})
	}
}

func TestRotate(t *testing.T) {
	for _, tt := range []struct {
		name    string
		verdict verdict
		token   refreshToken
		want    Rotation
		granted bool
	}{
		{"confirm moves the record to the token", verdictConfirm, token(6, 6, 5), Rotation{6, Nonce{6}, Nonce{5}, noon, noon, time.Time{}}, true},
		{"ahead moves it as far as the token is", verdictAhead, token(9, 9, 8), Rotation{9, Nonce{9}, Nonce{8}, noon, noon, time.Time{}}, true},
		{"retry does not slide the window", verdictRetry, token(5, 5, 4), rotating().Rotation, true},
		{"recover does not either", verdictRecover, token(5, 5, 4), rotating().Rotation, true},
		{"superseded changes nothing", verdictSuperseded, token(4, 4, 3), rotating().Rotation, false},
		{"replay changes nothing here", verdictReplay, token(1, 1, 0), rotating().Rotation, false},
		{"dead changes nothing", verdictDead, token(6, 6, 5), rotating().Rotation, false},
		{"elsewhere changes nothing here", verdictElsewhere, token(5, 5, 4), rotating().Rotation, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := rotating()
			if granted := s.rotate(tt.verdict, tt.token, noon); granted != tt.granted || s.Rotation != tt.want {
				t.Errorf("got %v and %+v, want %v and %+v", granted, s.Rotation, tt.granted, tt.want)
			}
		})
	}
	t.Run("first starts the window", func(t *testing.T) {
		s := rotating()
		s.ChildAt = time.Time{}
		if granted := s.rotate(verdictFirst, token(5, 5, 4), noon); !granted || s.ChildAt != noon || s.Generation != 5 {
			t.Errorf("got %v and %+v, want a child at noon", granted, s.Rotation)
		}
	})
}

func TestSawChild(t *testing.T) {
	for _, tt := range []struct {
		name       string
		generation uint32
		change     func(*Session)
		want       bool
	}{
		{"the first sighting of the child counts", 6, func(*Session) {}, true},
		{"a second one does not", 6, func(s *Session) { s.ChildSeenAt = noon.Add(-time.Second) }, false},
		{"the confirmed token's own access token does not", 5, func(*Session) {}, false},
		{"nor one from ahead", 7, func(*Session) {}, false},
		{"nor one where no child was minted", 6, func(s *Session) { s.ChildAt = time.Time{} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := rotating()
			tt.change(&s)
			was := s.ChildSeenAt
			got := s.sawChild(tt.generation, noon)
			if got != tt.want || (s.ChildSeenAt != was) != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSameDevice(t *testing.T) {
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%s Safari/537.36"
	for _, tt := range []struct {
		name string
		a, b Device
		want bool
	}{
		{"the same id is the same device, whatever the browser says", Device{ID: "x", UserAgent: laptop.UserAgent}, Device{ID: "x", UserAgent: phone.UserAgent}, true},
		{"another id is another device, whatever the browser says", Device{ID: "x", UserAgent: laptop.UserAgent}, Device{ID: "y", UserAgent: laptop.UserAgent}, false},
		{"without an id on one side the browser family and the system decide", Device{ID: "x", UserAgent: laptop.UserAgent}, Device{UserAgent: laptop.UserAgent}, true},
		{"a browser update is the same device", Device{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, Device{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"}, true},
		{"another browser is another device", Device{UserAgent: laptop.UserAgent}, Device{UserAgent: chrome}, false},
		{"another system is another device", Device{UserAgent: laptop.UserAgent}, Device{UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"}, false},
		{"a browser that hides is not the one that does not", Device{UserAgent: laptop.UserAgent}, Device{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sameDevice(tt.a, tt.b); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := sameDevice(tt.b, tt.a); got != tt.want {
				t.Errorf("the other way round: got %v, want %v", got, tt.want)
			}
		})
	}
}
