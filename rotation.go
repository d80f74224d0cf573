package bitjang

import "time"

// verdict is what a refresh token that came back means. The numbers are the
// rows of the table in docs/rotation.md.
type verdict uint8

const (
	verdictMalformed  verdict = iota + 1 // 1: not minted by us; the store is not asked
	verdictUnknown                       // 2: no such session
	verdictDead                          // 3: ended, expired or held
	verdictConfirm                       // 4: a child of the confirmed token: the usual case
	verdictFirst                         // 5: the confirmed token, for the first time
	verdictRetry                         // 6: the confirmed token again, within grace
	verdictElsewhere                     // 6: the same, from another device: policy decides
	verdictRecover                       // 7: the confirmed token again, later: a lost response
	verdictSuperseded                    // 8: the token before it, within grace: a straggler
	verdictAhead                         // 9: newer than the store: it has lost writes
	verdictReplay                        // 10: anything else: theft
	verdictUnproven                      // 3: the session is bound to a key that the caller does not show
)

var verdictNames = [...]string{
	verdictMalformed: "malformed", verdictUnknown: "unknown", verdictDead: "dead",
	verdictConfirm: "confirm", verdictFirst: "first", verdictRetry: "retry",
	verdictElsewhere: "retry_elsewhere", verdictRecover: "recover",
	verdictSuperseded: "superseded", verdictAhead: "ahead", verdictReplay: "replay", verdictUnproven: "unproven",
}

func (v verdict) String() string { return verdictNames[v] }

// grants tells whether the verdict gives tokens. Every other one must not.
func (v verdict) grants() bool {
	switch v {
	case verdictConfirm, verdictFirst, verdictRetry, verdictRecover, verdictAhead:
		return true
	}
	return false
}

// judge decides what token t of session s means when it comes back at now from
// a caller. It reads nothing else and changes nothing: the model test drives
// this very function through every order of losses and thefts.
func judge(s *Session, t refreshToken, now time.Time, from Caller, grace time.Duration) verdict {
	r := &s.Rotation
	switch {
	case s.stateAt(now) != stateActive:
		return verdictDead
	case s.bound(from):
		return verdictUnproven
	case t.generation == r.Generation+1 && t.parent == r.Nonce:
		return verdictConfirm
	case t.generation == r.Generation && t.nonce == r.Nonce:
		return judgeAgain(s, now, from, grace)
	case t.generation+1 == r.Generation && t.nonce == r.Parent && !now.After(r.ConfirmedAt.Add(grace)):
		return verdictSuperseded
	case t.generation > r.Generation:
		return verdictAhead
	}
	return verdictReplay
}

// judgeAgain is for the confirmed token itself: was its child lost, or is this
// a second pair of hands? The session's key, if it has one, is in one pair only:
// whoever shows it is the same device, and may have lost the child after using it.
func judgeAgain(s *Session, now time.Time, from Caller, grace time.Duration) verdict {
	own := s.own(from)
	same := own || sameDevice(s.Device, from.Device)
	childSeen := !s.ChildSeenAt.IsZero() && now.After(s.ChildSeenAt.Add(grace))
	switch {
	case s.ChildAt.IsZero():
		return verdictFirst
	case !now.After(s.ChildAt.Add(grace)) && same:
		return verdictRetry
	case !now.After(s.ChildAt.Add(grace)):
		return verdictElsewhere
	case own || same && !childSeen:
		return verdictRecover
	}
	return verdictReplay
}

// rotate moves the record as verdict v on token t demands and reports whether
// a child may be minted. Refusals that end the session are the policy's, not
// made here. A retry or recovery moves nothing: if ChildAt slid, a thief could
// keep the window open.
func (s *Session) rotate(v verdict, t refreshToken, now time.Time) bool {
	switch v {
	case verdictConfirm, verdictAhead:
		s.Rotation = Rotation{Generation: t.generation, Nonce: t.nonce, Parent: t.parent, ConfirmedAt: now, ChildAt: now}
	case verdictFirst:
		s.ChildAt = now
	}
	return v.grants()
}

// moveOn makes t, a token nobody holds yet, the confirmed one: after a change
// of privilege, so that older tokens never reach the new state.
func (s *Session) moveOn(t refreshToken, now time.Time) {
	s.Rotation = Rotation{Generation: t.generation, Nonce: t.nonce, Parent: t.parent, ConfirmedAt: now}
}

// sawChild notes that an access token of generation gen was used. Only the
// first sighting of the confirmed token's child counts.
func (s *Session) sawChild(gen uint32, now time.Time) bool {
	if s.ChildAt.IsZero() || gen != s.Generation+1 || !s.ChildSeenAt.IsZero() {
		return false
	}
	s.ChildSeenAt = now
	return true
}
