package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// dial opens a bare connection.
func (b *bitjang) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", b.address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func TestASlowHeaderIsCutOff(t *testing.T) {
	t.Parallel()
	b := startBitjang(t)
	conn := b.dial(t)
	started := time.Now()
	go func() {
		fmt.Fprint(conn, "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		for {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("got a connection that may trickle for ever")
	}
	if took := time.Since(started); took > 12*time.Second {
		t.Errorf("got cut off after %v, want about 5 s", took)
	}
}

func TestAHugeBodyIsRefused(t *testing.T) {
	t.Parallel()
	b := startBitjang(t)
	const size = 10 << 20
	for _, path := range []string{"/v1/login", "/v1/refresh", "/v1/signup"} {
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked"} {
			conn := b.dial(t)
			go func() { // the answer comes before all is sent
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, b.address, framing)
				part := strings.Repeat(" ", 1<<16)
				if strings.Contains(framing, "chunked") {
					part = "10000\r\n" + part + "\r\n"
				}
				for range size >> 16 {
					if _, err := io.WriteString(conn, part); err != nil {
						return
					}
				}
			}()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("POST %s with 10 MB, %s: got %v, %v, want 413", path, framing, resp, err)
			}
			_ = conn.Close()
		}
	}
}

func TestIdleConnectionsDoNotStopRefreshes(t *testing.T) {
	b := startBitjang(t)
	c := newClient(t, b.url(""))
	c.http.Timeout = 5 * time.Second
	tok := c.login(t)
	for i := range 500 {
		conn := b.dial(t)
		switch i % 3 {
		case 0: // says nothing at all
		case 1: // has had an answer and stays
			fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", b.address)
		case 2: // begins a refresh and does not go on
			fmt.Fprintf(conn, "POST /v1/refresh HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", b.address)
		}
	}
	var slowest time.Duration
	for range 50 {
		started := time.Now()
		tok = c.refresh(t, tok.Refresh)
		slowest = max(slowest, time.Since(started))
	}
	t.Logf("the slowest of 50 refreshes beside 500 idle connections took %v", slowest)
}

// TestAStopAnswersWhatItHasBegun holds refreshes in the middle of their body,
// which the server has surely begun to read, while it is told to stop.
func TestAStopAnswersWhatItHasBegun(t *testing.T) {
	t.Parallel()
	b := startBitjang(t)
	c := newClient(t, b.url(""))
	type held struct {
		net.Conn
		*bufio.Reader
		body string
	}
	var all []held
	for range 20 {
		h := held{Conn: b.dial(t), body: fmt.Sprintf(`{"refresh_token":%q}`, c.login(t).Refresh)}
		h.Reader = bufio.NewReader(h.Conn)
		fmt.Fprintf(h.Conn, "POST /v1/refresh HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", b.address, userAgent, len(h.body))
		line, err := h.ReadString('\n')
		if err != nil || !strings.Contains(line, " 100 ") {
			t.Fatalf("got %q, %v, want 100 Continue", line, err)
		}
		if _, err := h.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	b.terminate(t)
	b.until(t, "wait until nobody is let in", func() error {
		conn, err := net.Dial("tcp", b.address)
		if err == nil {
			_ = conn.Close()
			return errors.New("still let in")
		}
		return nil
	})
	for _, h := range all {
		fmt.Fprint(h.Conn, h.body)
	}
	for i, h := range all {
		resp, err := http.ReadResponse(h.Reader, nil)
		if err != nil {
			t.Errorf("held request %d: got %v, want an answer", i, err)
			continue
		}
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "bjr_") {
			t.Errorf("held request %d: got %d %s, %v, want new tokens", i, resp.StatusCode, body, err)
		}
	}
	b.wait(t)
}
