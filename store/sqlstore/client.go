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
