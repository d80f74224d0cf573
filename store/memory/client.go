package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/bitjang/bitjang"
)

// InsertClient implements bitjang.ClientStore.
func (s *Store) InsertClient(ctx context.Context, c bitjang.Client) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.clients[c.ID]; taken {
		return bitjang.ErrExists
	}
	s.clients[c.ID] = cloneClient(c)
	return nil
}

// Client implements bitjang.ClientStore.
func (s *Store) Client(ctx context.Context, id string) (bitjang.Client, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.Client{}, err
	}
	defer leave()
	c, ok := s.clients[id]
	if !ok {
		return bitjang.Client{}, bitjang.ErrNotFound
	}
	return cloneClient(c), nil
}

// UpdateClient implements bitjang.ClientStore.
func (s *Store) UpdateClient(ctx context.Context, c bitjang.Client) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	old, ok := s.clients[c.ID]
	if !ok || old.Version != c.Version {
		return bitjang.ErrConflict
	}
	c = cloneClient(c)
	c.CreatedAt = old.CreatedAt
	c.Version++
	s.clients[c.ID] = c
	return nil
}

// Clients implements bitjang.ClientStore.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]bitjang.Client, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.Client
	for _, c := range s.clients {
		if c.ID > after {
			list = append(list, cloneClient(c))
		}
	}
	slices.SortFunc(list, func(a, b bitjang.Client) int { return cmp.Compare(a.ID, b.ID) })
	return list[:min(len(list), limit)], nil
}

// DeleteClient implements bitjang.ClientStore.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	delete(s.clients, id)
	return nil
}

func cloneClient(c bitjang.Client) bitjang.Client {
	c.Secrets, c.Keys = slices.Clone(c.Secrets), bytes.Clone(c.Keys)
	for i := range c.Secrets {
		c.Secrets[i].Hash = bytes.Clone(c.Secrets[i].Hash)
	}
	for _, list := range []*[]string{&c.GrantTypes, &c.Scopes, &c.Resources, &c.RedirectURIs, &c.LogoutURIs} {
		*list = slices.Clone(*list)
	}
	return c
}

// Consent implements bitjang.ConsentStore.
func (s *Store) Consent(ctx context.Context, userID, clientID string) (bitjang.Consent, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.Consent{}, err
	}
	defer leave()
	c, ok := s.consents[[2]string{userID, clientID}]
	if !ok {
		return bitjang.Consent{}, bitjang.ErrNotFound
	}
	return c, nil
}

// PutConsent implements bitjang.ConsentStore.
func (s *Store) PutConsent(ctx context.Context, c bitjang.Consent) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s.consents[[2]string{c.UserID, c.ClientID}] = c
	return nil
}

// Consents implements bitjang.ConsentStore.
func (s *Store) Consents(ctx context.Context, userID string) ([]bitjang.Consent, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.Consent
	for _, c := range s.consents {
		if c.UserID == userID {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b bitjang.Consent) int { return cmp.Compare(a.ClientID, b.ClientID) })
	return list, nil
}

// DeleteConsents implements bitjang.ConsentStore.
func (s *Store) DeleteConsents(ctx context.Context, userID, clientID string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for key := range s.consents {
		if key[0] == userID && (clientID == "" || key[1] == clientID) {
			delete(s.consents, key)
		}
	}
	return nil
}
