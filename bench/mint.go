//go:build linux

package main

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/bitjang/bitjang"
)

// minter makes refresh tokens for sessions that were written straight into a
// store, as docs/rotation.md describes them: millions of logins would cost
// hours of password hashing. The server it is for gets its master key.
type minter struct {
	setting string // for the server
	keyID   byte
	mac     []byte
}

func newMinter() (*minter, error) {
	text := bitjang.NewMasterKey().Reveal()
	master, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, master, nil, "bitjang v1 key id", 1)
	if err != nil {
		return nil, err
	}
	mac, err := hkdf.Key(sha256.New, master, nil, "bitjang v1 refresh token mac", 32)
	return &minter{"BITJANG_MASTER_KEY=" + text, id[0], mac}, err
}

// token is what the device holds that refreshed last: the child of the token
// that the store has confirmed.
func (m *minter) token(id bitjang.SessionID, generation uint32, confirmed bitjang.Nonce) string {
	b := append(make([]byte, 0, 54), 1, m.keyID)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, generation+1)
	var nonce bitjang.Nonce
	_, _ = rand.Read(nonce[:]) // never fails
	b = append(b, nonce[:]...)
	b = append(b, confirmed[:]...)
	h := hmac.New(sha256.New, m.mac)
	h.Write(b)
	return "bjr_" + base64.RawURLEncoding.EncodeToString(append(b, h.Sum(nil)[:16]...))
}

// nextConfirmation is the next usual refresh of a session, as a store sees it.
func nextConfirmation(s *bitjang.Session, now time.Time) bitjang.Confirmation {
	c := bitjang.Confirmation{ID: s.ID, Generation: s.Generation + 1, Parent: s.Nonce, Now: now, IdleExpiresAt: s.IdleExpiresAt}
	_, _ = rand.Read(c.Nonce[:]) // never fails
	return c
}
