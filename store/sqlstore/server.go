package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// serverOptions are our own parameters in the address of a database server.
type serverOptions struct {
	timeout  time.Duration
	maxConns int
}

// parseServer takes our own parameters out of an address. Its errors do not
// repeat the address: it has a password in it.
func parseServer(address string) (*url.URL, serverOptions, error) {
	opt := serverOptions{timeout: 3 * time.Second, maxConns: 16}
	u, err := url.Parse(address)
	if err != nil {
		return nil, opt, errors.New("the address is not a URL: a password must have its special characters percent-encoded")
	}
	if u.Host == "" {
		return nil, opt, errors.New("the address names no host")
	}
	q := u.Query()
	if text := q.Get("timeout"); text != "" {
		if opt.timeout, err = time.ParseDuration(text); err != nil || opt.timeout <= 0 {
			return nil, opt, fmt.Errorf("timeout: %q is not a duration like 3s", text)
		}
	}
	if text := q.Get("pool_max_conns"); text != "" {
		if opt.maxConns, err = strconv.Atoi(text); err != nil || opt.maxConns < 2 {
			return nil, opt, fmt.Errorf("pool_max_conns: %q is not a number above 1", text)
		}
	}
	q.Del("timeout")
	q.Del("pool_max_conns")
	u.RawQuery = q.Encode()
	return u, opt, nil
}

// redact leaves out of an address what may be secret.
func redact(address string) string {
	if strings.HasPrefix(address, "sqlite:") {
		return strings.TrimPrefix(address, "sqlite:")
	}
	u, err := url.Parse(address)
	if err != nil {
		scheme, _, _ := strings.Cut(address, ":")
		return scheme + "://…"
	}
	u.RawQuery = "" // libpq takes passwords there too
	return u.Redacted()
}

// redactError keeps a driver's error from repeating the password.
func redactError(err error, u *url.URL) error {
	password, ok := u.User.Password()
	if !ok || password == "" {
		return err
	}
	hide := strings.NewReplacer(password, "xxxxx", url.QueryEscape(password), "xxxxx", url.PathEscape(password), "xxxxx")
	return errors.New(hide.Replace(err.Error()))
}

// confirmWorkers is how many groups of confirmations are under way at once: one
// travels and computes while the other waits for its commit.
const confirmWorkers = 2

// openServer begins to use a database server.
func (s *Store) openServer(ctx context.Context, db *sql.DB, opt serverOptions) error {
	s.reads, s.writes, s.timeout = db, db, opt.timeout
	db.SetMaxOpenConns(opt.maxConns)
	db.SetMaxIdleConns(opt.maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // so that a fail-over by name is noticed
	s.confirms = &gather[*confirming]{run: s.confirmAll, workers: confirmWorkers}
	ping, cancel := s.bound(ctx)
	defer cancel()
	if err := db.PingContext(ping); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.stmts.prepare(ctx, s.d, db, db)
}

const (
	transientAttempts = 6
	transientPause    = 2 * time.Millisecond // doubles each time, and is dithered
)

// again does something that the database may refuse because of others beside
// it, a few times at most.
func (s *Store) again(ctx context.Context, do func() error) error {
	pause := transientPause
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil || !s.d.transient(err) || attempt == transientAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause *= 2
	}
}
