package sqlstore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bitjang/bitjang"
)

const clientColumns = `id, settings, created_at, updated_at, version`

func scanClient(r row) (c bitjang.Client, err error) {
	err = r.Scan(&c.ID, clientCol{&c}, timeCol{&c.CreatedAt}, timeCol{&c.UpdatedAt}, &c.Version)
	return c, err
}

// clientCol reads what a client is registered for, kept as JSON because nobody
// searches it. It leaves the columns of their own alone.
type clientCol struct{ c *bitjang.Client }

func (col clientCol) Scan(src any) error {
	id := col.c.ID
	*col.c = bitjang.Client{}
	err := json.Unmarshal([]byte(textOf(src)), col.c)
	col.c.ID = id
	for i := range col.c.Secrets {
		if at := &col.c.Secrets[i].CreatedAt; !at.IsZero() {
			*at = at.UTC()
		}
	}
	return err
}

func clientText(c bitjang.Client) (string, error) {
	c.ID, c.CreatedAt, c.UpdatedAt, c.Version = "", time.Time{}, time.Time{}, 0
	b, err := json.Marshal(c)
	return string(b), err
}

// InsertClient implements bitjang.ClientStore.
func (s *Store) InsertClient(ctx context.Context, c bitjang.Client) error {
	settings, err := clientText(c)
	if err != nil {
		return err
	}
	return s.changeOne(ctx, s.stmts.insertClient, bitjang.ErrExists, c.ID, settings, millis(c.CreatedAt), millis(c.UpdatedAt), c.Version)
}

// Client implements bitjang.ClientStore.
func (s *Store) Client(ctx context.Context, id string) (bitjang.Client, error) {
	return one(ctx, s, s.stmts.client, scanClient, id)
}

// UpdateClient implements bitjang.ClientStore.
func (s *Store) UpdateClient(ctx context.Context, c bitjang.Client) error {
	settings, err := clientText(c)
	if err != nil {
		return err
	}
	return s.changeOne(ctx, s.stmts.updateClient, bitjang.ErrConflict, settings, millis(c.UpdatedAt), c.ID, c.Version)
}

// Clients implements bitjang.ClientStore.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]bitjang.Client, error) {
	return all(ctx, s, s.stmts.clients, scanClient, after, limit)
}

// DeleteClient implements bitjang.ClientStore.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	_, err := s.change(ctx, s.stmts.deleteClient, id)
	return err
}

const consentColumns = `user_id, client_id, scope, at`

func scanConsent(r row) (c bitjang.Consent, err error) {
	err = r.Scan(&c.UserID, &c.ClientID, &c.Scope, timeCol{&c.At})
	return c, err
}

// Consent implements bitjang.ConsentStore.
func (s *Store) Consent(ctx context.Context, userID, clientID string) (bitjang.Consent, error) {
	return one(ctx, s, s.stmts.consent, scanConsent, userID, clientID)
}

// PutConsent implements bitjang.ConsentStore: it updates what is there, or else
// inserts it, or else finds that somebody has just done so.
func (s *Store) PutConsent(ctx context.Context, c bitjang.Consent) error {
	_, err := together(ctx, s, func(ctx context.Context, u unit) (int, error) {
		for range 2 {
			// The row may have these very values: what counts is that it is there.
			n, err := u.exec(ctx, s.stmts.insertConsent, c.UserID, c.ClientID, c.Scope, millis(c.At))
			if err != nil || n == 1 {
				return n, err
			}
			if n, err = u.exec(ctx, s.stmts.updateConsent, c.Scope, millis(c.At), c.UserID, c.ClientID); err != nil || n == 1 {
				return n, err
			}
		}
		return 1, nil
	})
	return err
}

// Consents implements bitjang.ConsentStore.
func (s *Store) Consents(ctx context.Context, userID string) ([]bitjang.Consent, error) {
	return all(ctx, s, s.stmts.consents, scanConsent, userID)
}

// DeleteConsents implements bitjang.ConsentStore.
func (s *Store) DeleteConsents(ctx context.Context, userID, clientID string) error {
	_, err := s.change(ctx, s.stmts.deleteConsents, userID, clientID, clientID)
	return err
}
