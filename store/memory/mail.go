package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bitjang/bitjang"
)

// DeleteUsers implements bitjang.UserStore.
func (s *Store) DeleteUsers(ctx context.Context, t time.Time, limit int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	removed := 0
	for id, u := range s.users {
		if removed < limit && !u.DeleteAt.IsZero() && u.DeleteAt.Before(t) {
			delete(s.users, id)
			maps.DeleteFunc(s.factors, func(_ string, f bitjang.Factor) bool { return f.UserID == id })
			removed++
		}
	}
	return removed, nil
}

// InsertMail implements bitjang.MailStore.
func (s *Store) InsertMail(ctx context.Context, m bitjang.WaitingMail) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.mails[m.ID]; taken {
		return bitjang.ErrExists
	}
	m.Sealed = bytes.Clone(m.Sealed)
	s.mails[m.ID] = m
	return nil
}

// ClaimMails implements bitjang.MailStore.
func (s *Store) ClaimMails(ctx context.Context, now, until time.Time, limit int) ([]bitjang.WaitingMail, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	due := slices.DeleteFunc(slices.Collect(maps.Values(s.mails)), func(m bitjang.WaitingMail) bool { return m.DueAt.After(now) })
	slices.SortFunc(due, func(a, b bitjang.WaitingMail) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID))
	})
	due = due[:min(len(due), limit)]
	for i := range due {
		due[i].DueAt = until
		due[i].Attempts++
		s.mails[due[i].ID] = due[i]
		due[i].Sealed = bytes.Clone(due[i].Sealed)
	}
	return due, nil
}

// PostponeMail implements bitjang.MailStore.
func (s *Store) PostponeMail(ctx context.Context, id string, due time.Time) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	m, ok := s.mails[id]
	if !ok {
		return bitjang.ErrNotFound
	}
	m.DueAt = due
	s.mails[id] = m
	return nil
}

// DeleteMail implements bitjang.MailStore.
func (s *Store) DeleteMail(ctx context.Context, id string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	delete(s.mails, id)
	return nil
}
