package verify

import (
	"crypto/sha256"
	"sync"
)

// tokenCache remembers verified tokens, because an elliptic-curve verification
// costs as much as a hundred look-ups. Only good tokens get in, so strangers
// cannot fill it. It has two generations of half the size: when the young one is
// full it becomes the old one, and what was asked for since moves back in. That
// bounds the memory without a list or a sweeper.
//
// A nil tokenCache is always empty.
type tokenCache struct {
	half int

	mu         sync.RWMutex
	young, old map[tokenHash]verified
}

// tokenHash stands for a token. The cache holds no token, so nothing that reads
// the memory finds one there.
type tokenHash = [sha256.Size]byte

type verified struct {
	claims *Claims
	key    *Key
}

func newTokenCache(size int) *tokenCache {
	if size < 0 {
		return nil
	}
	return &tokenCache{half: max(size/2, 1), young: map[tokenHash]verified{}}
}

func (c *tokenCache) get(h tokenHash) (verified, bool) {
	if c == nil {
		return verified{}, false
	}
	c.mu.RLock()
	v, young := c.young[h]
	old := false
	if !young {
		v, old = c.old[h]
	}
	c.mu.RUnlock()
	if old {
		c.put(h, v)
	}
	return v, young || old
}

func (c *tokenCache) put(h tokenHash, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[tokenHash]verified, c.half)
	}
	c.young[h] = v
}
