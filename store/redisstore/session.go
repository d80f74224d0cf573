package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/bitjang/bitjang"
)

// InsertSession implements bitjang.SessionStore.
func (s *Store) InsertSession(ctx context.Context, sess bitjang.Session) error {
	if sess.ID.Shard() != bitjang.UserShard(sess.UserID) {
		return fmt.Errorf("redis: session %s is not of its user's shard: make ids with bitjang.NewSessionID", sess.ID)
	}
	r, err := encodeSession(&sess)
	if err != nil {
		return err
	}
	part := partOf(sess.ID.Shard())
	_, err = s.runSafely(ctx, call{
		s.scripts.insert,
		[]string{s.keys.record(sess.ID), s.keys.indexes(part) + sess.UserID, s.keys.sweep(part)},
		[]string{r.head + r.kept + r.tail, decimal(lifetime(&sess, s.retention)), string(sess.ID[:]), decimal(millis(sess.DeadSince()))},
	})
	return unchangedIs(bitjang.ErrExists, err)
}

// Session implements bitjang.SessionStore. That there is none is asked a second
// time, in a way that only a primary answers.
func (s *Store) Session(ctx context.Context, id bitjang.SessionID) (bitjang.Session, error) {
	key := s.keys.record(id)
	record, err := s.get(ctx, key)
	if valkey.IsValkeyNil(err) {
		m, err := s.run(ctx, call{s.scripts.read, []string{key}, nil})
		if err != nil {
			return bitjang.Session{}, unchangedIs(bitjang.ErrNotFound, err)
		}
		return s.session(id, m)
	}
	if err != nil {
		return bitjang.Session{}, s.outage(err)
	}
	return decodeSession(id, record)
}

func (s *Store) get(ctx context.Context, key string) (string, error) {
	ctx, cancel := s.limited(ctx)
	defer cancel()
	return s.client.Do(ctx, s.client.B().Get().Key(key).Build()).ToString()
}

// ConfirmSession implements bitjang.SessionStore.
func (s *Store) ConfirmSession(ctx context.Context, c bitjang.Confirmation) (bitjang.Session, error) {
	if c.Generation == 0 {
		return bitjang.Session{}, bitjang.ErrConflict // nothing comes before the first token
	}
	m, err := s.run(ctx, s.confirmation(c))
	if err != nil {
		return bitjang.Session{}, unchangedIs(bitjang.ErrConflict, err)
	}
	sess, err := s.session(c.ID, m)
	if err != nil {
		return bitjang.Session{}, err
	}
	sess.Rotation = bitjang.Rotation{Generation: c.Generation, Nonce: c.Nonce, Parent: c.Parent, ConfirmedAt: c.Now, ChildAt: c.Now}
	sess.SeenBeforeAt = sess.LastSeenAt // the script answers the record as it was
	sess.LastSeenAt, sess.IdleExpiresAt = c.Now, c.IdleExpiresAt
	sess.Version++
	return sess, nil
}

// confirmation writes over a record from its generation to its idle expiry.
func (s *Store) confirmation(c bitjang.Confirmation) call {
	now, unset := timeBytes(c.Now), timeBytes(time.Time{})
	was := rotationBytes(c.Generation-1, c.Parent, bitjang.Nonce{})[:12]
	becomes := rotationBytes(c.Generation, c.Nonce, c.Parent) + now + now + unset + now + timeBytes(c.IdleExpiresAt)
	return call{s.scripts.confirm, []string{s.keys.record(c.ID)}, []string{was, decimal(millis(c.Now)), becomes}}
}

// UpdateSession implements bitjang.SessionStore.
func (s *Store) UpdateSession(ctx context.Context, sess bitjang.Session, tell *bitjang.Revocation) error {
	was := string(binary.BigEndian.AppendUint64(nil, uint64(sess.Version)))
	sess.Version++
	r, err := encodeSession(&sess)
	if err != nil {
		return err
	}
	part := partOf(sess.ID.Shard())
	c := call{
		s.scripts.update,
		[]string{s.keys.record(sess.ID), s.keys.sweep(part), s.keys.feed(part)},
		[]string{
			was, r.head, r.tail, decimal(lifetime(&sess, s.retention)),
			string(sess.ID[:]), decimal(millis(sess.DeadSince())), s.keys.indexes(part),
		},
	}
	if tell == nil {
		_, err = s.run(ctx, c)
		return unchangedIs(bitjang.ErrConflict, err)
	}
	entry, err := encodeRevocation(tell.At, tell.State, tell.Reason)
	if err != nil {
		return err
	}
	c.args = append(c.args, decimal(millis(tell.At)), string(tell.SessionID[:])+entry)
	_, err = s.runSafely(ctx, c)
	return unchangedIs(bitjang.ErrConflict, err)
}

// Sessions implements bitjang.SessionStore.
func (s *Store) Sessions(ctx context.Context, q bitjang.SessionQuery) ([]bitjang.Session, error) {
	part := partOf(bitjang.UserShard(q.UserID))
	m, err := s.run(ctx, call{
		s.scripts.list,
		[]string{s.keys.indexes(part) + q.UserID},
		[]string{s.keys.records(part), string(q.After[:]), strconv.Itoa(q.Limit)},
	})
	if err != nil {
		return nil, err
	}
	found, err := m.ToArray()
	if err != nil {
		return nil, s.outage(err)
	}
	return s.sessions(found)
}

// EndSessions implements bitjang.SessionStore.
func (s *Store) EndSessions(ctx context.Context, f bitjang.EndFilter) (int, error) {
	var reason writer
	reason.text(string(f.Reason))
	entry, err := encodeRevocation(f.At, bitjang.RevocationEnded, string(f.Reason))
	if err != nil {
		return 0, err
	}
	only := ""
	if !f.Only.IsZero() {
		only = string(f.Only[:])
	}
	part := partOf(bitjang.UserShard(f.UserID))
	m, err := s.runSafely(ctx, call{
		s.scripts.end,
		[]string{s.keys.indexes(part) + f.UserID, s.keys.sweep(part), s.keys.feed(part)},
		[]string{
			s.keys.records(part), string(f.Except[:]), f.DeviceID, decimal(millis(f.At)), timeBytes(f.At),
			string(reason.b), entry, decimal(s.retention.Milliseconds()), only,
		},
	})
	if err != nil {
		return 0, err
	}
	n, err := m.AsInt64()
	return int(n), err
}

// session reads a record that a script answered.
func (s *Store) session(id bitjang.SessionID, m valkey.ValkeyMessage) (bitjang.Session, error) {
	record, err := m.ToString()
	if err != nil {
		return bitjang.Session{}, s.outage(err)
	}
	return decodeSession(id, record)
}

// sessions reads ids and records in turn.
func (s *Store) sessions(found []valkey.ValkeyMessage) ([]bitjang.Session, error) {
	var list []bitjang.Session
	for i := 0; i+1 < len(found); i += 2 {
		var id bitjang.SessionID
		raw, err := found[i].ToString()
		if err != nil {
			return nil, s.outage(err)
		}
		copy(id[:], raw)
		sess, err := s.session(id, found[i+1])
		if err != nil {
			return nil, err
		}
		list = append(list, sess)
	}
	return list, nil
}

func unchangedIs(answer, err error) error {
	if errors.Is(err, errUnchanged) {
		return answer
	}
	return err
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// sweepStep is how many records one script looks at: the server does nothing
// else meanwhile.
const sweepStep = 200

// eachPart runs clean on one part after the other, each until it finds less
// than it may look at, until limit is used up. It begins behind the part at
// which the last one ran out: one with endless work must not starve the others.
func (s *Store) eachPart(limit int, clean func(part, limit int) (used int, err error)) error {
	first := s.swept.Load()
	for i := uint32(0); i < parts && limit > 0; {
		step := min(limit, sweepStep)
		part := (first + i) % parts
		used, err := clean(int(part), step)
		if err != nil {
			return err
		}
		limit -= used
		if used < step {
			i++
		}
		s.swept.Store((part + 1) % parts)
	}
	return nil
}

// DeleteSessions implements bitjang.SessionStore. It goes by the time in the
// sweep set, which refreshes do not move: a session that is looked at too early
// is told when to come again, so each costs one such look per idle lifetime.
func (s *Store) DeleteSessions(ctx context.Context, t time.Time, limit int) (removed int, more bool, err error) {
	looked := 0
	err = s.eachPart(limit, func(part, limit int) (int, error) {
		m, err := s.run(ctx, call{
			s.scripts.sweep,
			[]string{s.keys.sweep(part)},
			[]string{decimal(millis(t)), strconv.Itoa(limit), s.keys.records(part), s.keys.indexes(part)},
		})
		if err != nil {
			return 0, err
		}
		n, err := m.AsIntSlice()
		if err != nil || len(n) != 2 {
			return 0, s.outage(errAnswer)
		}
		removed += int(n[0])
		looked += int(n[1])
		return int(n[1]), nil
	})
	return removed, looked >= limit, err
}

// delete runs a cleanup that answers how many it removed.
func (s *Store) delete(ctx context.Context, limit int, c func(part, limit int) call) (removed int, err error) {
	err = s.eachPart(limit, func(part, limit int) (int, error) {
		m, err := s.run(ctx, c(part, limit))
		if err != nil {
			return 0, err
		}
		n, err := m.AsInt64()
		removed += int(n)
		return int(n), err
	})
	return removed, err
}

// EverySession implements bitjang.SessionStore. All sessions of a part are in
// its sweep set.
func (s *Store) EverySession(ctx context.Context, after string, limit int) ([]bitjang.Session, string, error) {
	c, err := parseWalkCursor(after)
	if err != nil {
		return nil, "", err
	}
	var page []bitjang.Session
	for c.part < parts && len(page) < limit {
		m, err := s.run(ctx, call{
			s.scripts.walk,
			[]string{s.keys.sweep(c.part)},
			[]string{s.keys.records(c.part), c.run, c.scan, decimal(int64(limit))},
		})
		if err != nil {
			return nil, "", err
		}
		found, err := m.ToArray()
		if err != nil || len(found) < 2 {
			return nil, "", s.outage(errAnswer)
		}
		list, err := s.sessions(found[2:])
		if err != nil {
			return nil, "", err
		}
		page = append(page, list...)
		c.run, _ = found[0].ToString()
		c.scan, _ = found[1].ToString()
		if c.scan == "0" {
			c = walkCursor{part: c.part + 1, scan: "0"}
		}
	}
	if c.part == parts {
		return page, "", nil
	}
	return page, c.String(), nil
}
