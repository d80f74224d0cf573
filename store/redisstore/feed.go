package redisstore

import (
	"context"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/bitjang/bitjang"
)

// The feed is a stream in each part. An entry becomes visible in the step that
// appends it, behind all that were visible before: a reader that goes on from
// the last id that it has read misses nothing and sees nothing twice.
//
// Across a fail-over that holds for what the new primary has. Entries that had
// not reached it are lost with their sessions' ends, unless the address asks
// for all replicas. New ones get ids by their time, and so come after those a reader
// may have seen of the lost ones, unless the clocks of the nodes that wrote
// them differ by more than the fail-over took.

// Revocations implements bitjang.RevocationStore.
func (s *Store) Revocations(ctx context.Context, after string, limit int) ([]bitjang.Revocation, string, error) {
	cursor, err := parseFeedCursor(after)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := s.limited(ctx)
	defer cancel()
	var list []bitjang.Revocation
	ask := make([]int, parts)
	for i := range ask {
		ask[i] = (cursor.begin + i) % parts
	}
	for len(ask) > 0 && len(list) < limit {
		// Each part gets an equal share, and those that have more are asked again.
		share := max(1, (limit-len(list))/len(ask))
		pages, err := s.readFeed(ctx, cursor, ask, share)
		if err != nil {
			return nil, "", err
		}
		var again []int
		for i, part := range ask {
			if len(list) == limit {
				break // begin says with whom to begin next time
			}
			entries, err := s.takeEntries(&cursor.last[part], pages[i])
			if err != nil {
				return nil, "", err
			}
			list = append(list, entries...)
			cursor.begin = (part + 1) % parts
			if len(entries) == share {
				again = append(again, part)
			}
		}
		ask = again
	}
	return list, cursor.String(), nil
}

// readFeed asks for at most share entries of each part, all at once.
func (s *Store) readFeed(ctx context.Context, cursor *feedCursor, ask []int, share int) ([]valkey.ValkeyResult, error) {
	cmds := make(valkey.Commands, len(ask))
	for i, part := range ask {
		cmds[i] = s.client.B().Xrange().Key(s.keys.feed(part)).Start("(" + cursor.last[part].String()).End("+").Count(int64(share)).Build()
	}
	results := s.client.DoMulti(ctx, cmds...)
	for _, r := range results {
		if err := r.Error(); err != nil {
			return nil, s.outage(err)
		}
	}
	return results, nil
}

// takeEntries reads a page of a part and moves its last id on.
func (s *Store) takeEntries(last *entryID, page valkey.ValkeyResult) ([]bitjang.Revocation, error) {
	entries, err := page.AsXRange()
	if err != nil {
		return nil, s.outage(err)
	}
	var list []bitjang.Revocation
	for _, e := range entries {
		id, ok := parseEntryID(e.ID)
		r, err := decodeRevocation(e.FieldValues["r"])
		if !ok || err != nil {
			return nil, s.outage(errAnswer)
		}
		*last = id
		list = append(list, r)
	}
	return list, nil
}

// DeleteRevocations implements bitjang.RevocationStore. It empties one stream
// after the other of what is old: streams drop entries by the hundred, so that
// is quick however many there are. An entry whose id had to be later than its
// time goes that much later. The empty stream stays, as it knows the last id.
func (s *Store) DeleteRevocations(ctx context.Context, t time.Time, limit int) (removed int, err error) {
	for part := 0; part < parts && removed < limit; part++ {
		n, err := s.trim(ctx, part, t)
		if err != nil {
			return removed, err
		}
		removed += n
	}
	return removed, nil
}

func (s *Store) trim(ctx context.Context, part int, t time.Time) (int, error) {
	ctx, cancel := s.limited(ctx)
	defer cancel()
	cmd := s.client.B().Xtrim().Key(s.keys.feed(part)).Minid().Exact().Threshold(decimal(max(0, millis(t)))).Build()
	n, err := s.client.Do(ctx, cmd).AsInt64()
	if err != nil {
		return 0, s.outage(err)
	}
	return int(n), nil
}
