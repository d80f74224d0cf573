package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	reportEvery   = 5 * time.Second
	reportTimeout = 10 * time.Second
	maxReport     = 500    // sightings in one request
	maxWaiting    = 5000   // sightings that wait for the next one
	maxSightings  = 20_000 // sightings remembered, so that none is reported twice
)

// sighting is an access token that was used: the issuer learns that its client
// has it.
type sighting struct {
	SessionID  string `json:"sid"`
	Generation uint32 `json:"gen"`
}

// sightings waits to report each sighting once. It is best effort: what does not
// fit is not reported, or reported twice.
type sightings struct {
	reported atomic.Int64

	mu         sync.Mutex
	young, old map[sighting]struct{}
	waiting    []sighting
}

func newSightings() *sightings { return &sightings{young: map[sighting]struct{}{}} }

func (s *sightings) note(sid string, generation uint32) {
	seen := sighting{sid, generation}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.young[seen]; known {
		return
	}
	_, known := s.old[seen]
	if len(s.young) >= maxSightings/2 {
		s.old, s.young = s.young, make(map[sighting]struct{}, len(s.young))
	}
	s.young[seen] = struct{}{}
	if !known && len(s.waiting) < maxWaiting {
		s.waiting = append(s.waiting, seen)
	}
}

// take returns the next report.
func (s *sightings) take() []sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), maxReport)
	list := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
	return list
}

// back puts a report that did not arrive behind the others.
func (s *sightings) back(list []sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting)+len(list) <= maxWaiting {
		s.waiting = append(s.waiting, list...)
	}
}

// report sends what was seen until ctx ends.
func (f *feed) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			list := f.seen.take()
			if len(list) == 0 {
				break
			}
			if err := f.send(ctx, list); err != nil {
				f.seen.back(list)
				break
			}
			f.seen.reported.Add(int64(len(list)))
		}
	}
}

func (f *feed) send(ctx context.Context, list []sighting) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	body, err := json.Marshal(map[string][]sighting{"seen": list})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.ReportURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if err := f.Authorize(req); err != nil {
		return err
	}
	resp, err := f.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
