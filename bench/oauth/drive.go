//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client keeps a connection per caller open, and follows no redirect.
var client = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       30 * time.Second,
}

// drive has callers send for a time, or until limit requests are sent.
func drive(ctx context.Context, callers, limit int, length time.Duration, send func(caller, k int) error) (int, time.Duration, error) {
	var sent, done atomic.Int64
	var first atomic.Pointer[error]
	var all sync.WaitGroup
	began := time.Now()
	for c := range callers {
		all.Go(func() {
			for first.Load() == nil && ctx.Err() == nil && time.Since(began) < length {
				k := int(sent.Add(1)) - 1
				if limit > 0 && k >= limit {
					return
				}
				if err := send(c, k); err != nil {
					first.CompareAndSwap(nil, &err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	if err := first.Load(); err != nil {
		return 0, 0, *err
	}
	return int(done.Load()), took, ctx.Err()
}

// call sends a request and reads the answer into v, if there is one to be read.
func call(method, target, bearer, kind string, body []byte, v any) error {
	req, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: status %d: %.200s", method, req.URL.Path, resp.StatusCode, raw)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(raw, v)
}

func form(target string, v any, pairs ...string) error {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return call(http.MethodPost, target, "", "application/x-www-form-urlencoded", []byte(values.Encode()), v)
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// cpuOf is the processor time that a process has had so far.
func cpuOf(pid int) func() time.Duration {
	return func() time.Duration {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
		var ticks int64
		for _, f := range fields[11:13] { // utime, stime
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks += n
		}
		return time.Duration(ticks) * 10 * time.Millisecond
	}
}
