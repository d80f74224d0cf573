//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/redisstore"
)

// redis keeps the sessions; users, keys and events are in the SQLite file of
// Bitjang's data directory.
type redis struct {
	fsync  string
	server *servers.Server
	sweeps []string // names of the sweep sets
}

func (d *redis) start(ctx context.Context) (err error) {
	d.server, err = servers.Redis(ctx, servers.RedisOptions{AppendFsync: d.fsync})
	return err
}

func (d *redis) close() error { return closeServer(d.server) }
func (d *redis) pid() int     { return d.server.PID() }

func (d *redis) settings() []string { return []string{"BITJANG_SESSIONS=" + d.server.URL()} }

func (d *redis) version(ctx context.Context) (string, error) {
	info, err := d.server.CLI(ctx, "INFO server")
	for line := range strings.Lines(info) {
		if v, found := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); found {
			return "Redis " + v, nil
		}
	}
	return "Redis", err
}

func (d *redis) open(ctx context.Context, _ bool) (sessionStore, error) {
	return redisstore.Open(ctx, d.server.URL(), redisstore.Options{})
}

// redisRows counts texts, and the members of everything else.
const redisRows = `local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do ` +
	`local t = redis.call('TYPE', k).ok ` +
	`if t == 'zset' then n = n + redis.call('ZCARD', k) elseif t == 'stream' then n = n + redis.call('XLEN', k) else n = n + 1 end ` +
	`end return n`

func (d *redis) rows(ctx context.Context) (int, error) {
	n, err := number64(d.server.CLI(ctx, fmt.Sprintf("EVAL %q 0", redisRows)))
	return int(n), err
}

// logged is the size of the append-only file, until Redis rewrites it.
func (d *redis) logged(ctx context.Context, _ int) (logged, error) {
	info, err := d.server.CLI(ctx, "INFO persistence")
	if err != nil {
		return logged{}, err
	}
	size, err := infoNumber(info, "aof_current_size")
	if err != nil {
		return logged{}, err
	}
	base, err := infoNumber(info, "aof_base_size")
	return logged{size, fmt.Sprint(base)}, err
}

// bulk is the store itself: its calls share round trips.
func (d *redis) bulk(ctx context.Context, n int, session func(int) bitjang.Session) error {
	store, err := d.open(ctx, true)
	if err != nil {
		return err
	}
	defer store.Close()
	return inParallel(n, 256, func(i int) error { return store.InsertSession(ctx, session(i)) })
}

func (d *redis) bytes(ctx context.Context) (int64, error) {
	info, err := d.server.CLI(ctx, "INFO memory")
	if err != nil {
		return 0, err
	}
	return infoNumber(info, "used_memory")
}

// settle waits for a rewrite of the append-only file.
func (d *redis) settle(ctx context.Context) error {
	return waitFor(ctx, func() (bool, error) {
		info, err := d.server.CLI(ctx, "INFO persistence")
		if err != nil {
			return false, err
		}
		running, err := infoNumber(info, "aof_rewrite_in_progress")
		if err != nil {
			return false, err
		}
		scheduled, err := infoNumber(info, "aof_rewrite_scheduled")
		return running+scheduled == 0, err
	})
}

// dying asks each sweep set. Their names are looked for once: that reads all keys.
func (d *redis) dying(ctx context.Context, _, t time.Time) (total int, err error) {
	if d.sweeps == nil {
		names, err := d.server.CLI(ctx, "KEYS *:sweep")
		if err != nil {
			return 0, err
		}
		d.sweeps = strings.Fields(names)
	}
	var ask strings.Builder
	for _, name := range d.sweeps {
		fmt.Fprintf(&ask, "ZCOUNT %q -inf (%d\n", name, t.UnixMilli())
	}
	answers, err := d.server.CLI(ctx, ask.String())
	for _, text := range strings.Fields(answers) {
		n, numberErr := number64(text, err)
		if numberErr != nil {
			return 0, numberErr
		}
		total += int(n)
	}
	return total, err
}
