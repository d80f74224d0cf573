//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/bitjang/bitjang"
)

// redisLoop runs the store's own script for its own keys, by a client that does
// nothing else.
type redisLoop struct {
	client valkey.Client
	sha    string
	keys   []string // of each caller's record
}

func (l *redisLoop) close() { l.client.Close() }

// bare listens to the server while the store refreshes each session once: so
// script and keys are the store's, whatever they are.
func (d *redis) bare(ctx context.Context, sessions []bitjang.Session) (bareLoop, error) {
	store, err := d.open(ctx, true)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{d.server.Addr()}, DisableCache: true})
	if err != nil {
		return nil, err
	}
	l := &redisLoop{client: client, keys: make([]string, len(sessions))}
	for i := range sessions {
		confirm := func() error {
			moved, err := store.ConfirmSession(ctx, nextConfirmation(&sessions[i], thisMillisecond()))
			if err == nil {
				sessions[i] = moved
			}
			return err
		}
		if i == 0 {
			err = confirm() // the server does not know the script before
		}
		if err == nil {
			err = l.learn(d.server.Addr(), i, confirm)
		}
		if err != nil {
			client.Close()
			return nil, fmt.Errorf("learn the store's script: %w", err)
		}
	}
	return l, nil
}

// learn sees the command that confirm sends.
func (l *redisLoop) learn(address string, i int, confirm func() error) error {
	conn, err := net.DialTimeout("tcp", address, callTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(callTimeout)) // a read that fails says so
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		return fmt.Errorf("MONITOR: %q, %w", line, err)
	}
	if err := confirm(); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words, err := monitored(line)
		if err != nil {
			return err
		}
		if len(words) == 0 || !strings.EqualFold(words[0], "EVALSHA") {
			continue
		}
		// EVALSHA sha 1 key, then as in update.
		if len(words) != 7 || len(words[4]) != 12 || len(words[6]) != 60 {
			return fmt.Errorf("the script has other arguments now, adapt the benchmark: %q", words)
		}
		l.sha, l.keys[i] = words[1], words[3]
		return nil
	}
}

// monitored takes a line of MONITOR apart: +TIME [DB CLIENT] "WORD" "WORD" …
func monitored(line string) (words []string, err error) {
	_, rest, found := strings.Cut(strings.TrimSpace(line), "] ")
	if !found {
		return nil, nil
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		words, rest = append(words, word), rest[len(quoted):]
	}
	return words, nil
}

func (l *redisLoop) update(c bitjang.Confirmation, caller int) error {
	was := append(binary.BigEndian.AppendUint32(nil, c.Generation-1), c.Parent[:]...)
	becomes := binary.BigEndian.AppendUint32(make([]byte, 0, 60), c.Generation)
	becomes = append(append(becomes, c.Nonce[:]...), c.Parent[:]...)
	now := uint64(c.Now.UnixMilli())
	for _, t := range []uint64{now, now, 0, now, uint64(c.IdleExpiresAt.UnixMilli())} {
		becomes = binary.BigEndian.AppendUint64(becomes, t)
	}
	cmd := l.client.B().Evalsha().Sha1(l.sha).Numkeys(1).Key(l.keys[caller]).
		Arg(string(was), strconv.FormatInt(c.Now.UnixMilli(), 10), string(becomes)).Build()
	_, err := l.client.Do(context.Background(), cmd).ToString()
	if valkey.IsValkeyNil(err) {
		return errBareMoved
	}
	return err
}
