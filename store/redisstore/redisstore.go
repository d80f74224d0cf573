// Package redisstore keeps sessions, the revocation feed, grants and limits in
// Redis (6.2 and later) or Valkey: a single server, a group under Sentinel or a
// Cluster. Users, signing keys and the audit trail stay in a SQL database.
//
// It decides how records lie in Redis and what is waited for. It never decides
// what is allowed, reads no clock (also none of the server's), and logs
// nothing. Embedders and cmd/bitjang import it.
//
// # Addresses
//
//	redis://[user:password@]host[:port][/database]
//	redis+cluster://[user:password@]host[:port],host[:port],...
//	redis+sentinel://[user:password@]host[:port],.../group[/database]
//
// rediss is the same over TLS, and valkey and valkeys may be written for redis
// and rediss. User and password are percent-encoded, and those of the servers,
// not of the Sentinels. Parameters:
//
//	prefix             what all keys begin with; default "bitjang:"
//	timeout            of each call; default 3s
//	replicas           how many replicas must have a login or logout; default 0
//	ca, cert, key      files in PEM: whom to trust, and our own certificate
//	sentinel_user, sentinel_password
//	                   for the Sentinels themselves
//
// # Durability
//
// A refresh that a crash or a fail-over loses heals: the token tells the store
// that it is behind (docs/rotation.md). A lost login logs somebody out, and a
// lost logout lets somebody back in. Therefore: appendonly yes, and where a
// fail-over may happen, replicas= in the address with the number of replicas
// that a primary has: any of them may be promoted. Logins, logouts and one-time
// grants then wait until all of them have it, and fail where one is missing;
// refreshes never wait. Set maxmemory-policy noeviction: Redis must not throw
// away sessions. Check looks at all this.
//
// While a fail-over lasts, calls fail or take longer, up to the timeout. So do
// logins and logouts of a thirty-second of the users while a Cluster moves the
// slot with their keys to another node: do that in quiet hours.
//
// # Permissions
//
// The user in the address needs no more than
//
//	ACL SETUSER bitjang on >password ~bitjang:* resetchannels -@all
//	    +eval +evalsha +get +mget +set +setrange +exists +del +pexpire +pttl
//	    +zadd +zrem +zrange +zrangebylex +zrangebyscore +zscan +zscore
//	    +xadd +xinfo +xrange +xtrim
//	    +ping +info +config|get +wait +role +select +cluster|slots +cluster|shards
//
// of which config|get is for Check, wait for replicas=, role for Sentinel,
// select for a database and the last two for a Cluster. Scripts name keys that
// they find in others, always in the same hash slot.
package redisstore

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/bitjang/bitjang"
)

// Options are what an address does not say.
type Options struct {
	// Retention is how long dead sessions and expired grants are kept at the
	// least, although nobody deletes them. 0 means 31 days. It must not be
	// shorter than the Service's SessionRetention, whose Sweep comes first.
	Retention time.Duration
}

const defaultRetention = 31 * 24 * time.Hour

// maxWaiting bounds the connections that wait for replicas.
const maxWaiting = 64

// Store is a bitjang.SessionStore. Its methods may be called from several
// goroutines.
type Store struct {
	client    valkey.Client
	scripts   *scripts
	keys      *layout
	timeout   time.Duration
	retention time.Duration
	replicas  int64
	secrets   []string      // never in an error
	waiting   chan struct{} // a place for each connection that waits for replicas
	swept     atomic.Uint32 // where the next cleanup begins, so that no part starves
}

var _ bitjang.SessionStore = (*Store)(nil)

// Open connects to the server of an address.
func Open(ctx context.Context, addr string, opt Options) (*Store, error) {
	a, err := parseAddress(addr)
	if err != nil {
		return nil, err
	}
	s := &Store{
		scripts: newScripts(), keys: newLayout(a.prefix),
		timeout: a.timeout, retention: opt.Retention, replicas: a.replicas,
		secrets: a.secrets(), waiting: make(chan struct{}, maxWaiting),
	}
	switch {
	case s.retention == 0:
		s.retention = defaultRetention
	case s.retention < time.Millisecond:
		return nil, errors.New("redis: Options.Retention is negative or less than a millisecond")
	}
	if err := ctx.Err(); err != nil {
		return nil, s.outage(err)
	}
	option, err := a.clientOption()
	if err != nil {
		return nil, err
	}
	if s.client, err = valkey.NewClient(option); err != nil {
		if s.client != nil {
			s.client.Close()
		}
		return nil, s.outage(err)
	}
	if err := s.fits(ctx, a); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes all connections.
func (s *Store) Close() error {
	s.client.Close()
	return nil
}
