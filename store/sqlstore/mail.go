package sqlstore

import (
	"context"
	"time"

	"github.com/bitjang/bitjang"
)

const mailColumns = `id, sealed, created_at, due_at, attempts`

func scanMail(r row) (m bitjang.WaitingMail, err error) {
	err = r.Scan(&m.ID, &m.Sealed, timeCol{&m.CreatedAt}, timeCol{&m.DueAt}, &m.Attempts)
	return m, err
}

// InsertMail implements bitjang.MailStore.
func (s *Store) InsertMail(ctx context.Context, m bitjang.WaitingMail) error {
	return s.changeOne(ctx, s.stmts.insertMail, bitjang.ErrExists, m.ID, m.Sealed, millis(m.CreatedAt), millis(m.DueAt), m.Attempts)
}

// ClaimMails implements bitjang.MailStore. Each is taken by a compare-and-swap
// of its own: those that another node took meanwhile are left out.
func (s *Store) ClaimMails(ctx context.Context, now, until time.Time, limit int) ([]bitjang.WaitingMail, error) {
	due, err := all(ctx, s, s.stmts.dueMails, scanMail, millis(now), limit)
	if err != nil {
		return nil, err
	}
	var ours []bitjang.WaitingMail
	for _, m := range due {
		n, err := s.change(ctx, s.stmts.claimMail, millis(until), m.ID, millis(m.DueAt), m.Attempts)
		if err != nil {
			return ours, err
		}
		if n == 1 {
			m.DueAt, m.Attempts = until, m.Attempts+1
			ours = append(ours, m)
		}
	}
	return ours, nil
}

// PostponeMail implements bitjang.MailStore.
func (s *Store) PostponeMail(ctx context.Context, id string, due time.Time) error {
	return s.changeOne(ctx, s.stmts.postponeMail, bitjang.ErrNotFound, millis(due), id)
}

// DeleteMail implements bitjang.MailStore.
func (s *Store) DeleteMail(ctx context.Context, id string) error {
	_, err := s.change(ctx, s.stmts.deleteMail, id)
	return err
}
