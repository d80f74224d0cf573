//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// userAgent is of a usual length; Bitjang keeps it with the session.
const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

// callTimeout bounds a call, so that a server that hangs is an error.
const callTimeout = 15 * time.Second

// caller is a client with a connection that stays open and some sessions. It
// writes requests itself, because net/http's client costs as much as the
// server that we want to measure on the same processors.
type caller struct {
	address string
	tokens  []string // the newest refresh token of each of its sessions

	conn net.Conn
	in   *bufio.Reader
	out  []byte
	used time.Time // when the connection was used last
}

// idleLimit is well below the server's own (two minutes): a connection that
// has waited for its turn since the last round is not there any more.
const idleLimit = time.Minute

// refreshOwn refreshes always the same session, as one device does.
func (c *caller) refreshOwn() error {
	_, err := c.refresh(0)
	return err
}

// refreshAny refreshes a random one of its sessions.
func (c *caller) refreshAny() error {
	_, err := c.refresh(rand.IntN(len(c.tokens)))
	return err
}

// refresh refreshes one of its sessions.
func (c *caller) refresh(session int) ([]byte, error) {
	body, next, err := c.exchange(c.tokens[session])
	if err == nil {
		c.tokens[session] = next
	}
	return body, err
}

// exchange exchanges a token for the next one, which must be another one.
func (c *caller) exchange(token string) (body []byte, next string, err error) {
	body, err = c.post("/v1/refresh", `{"refresh_token":"`+token+`"}`, http.StatusOK)
	if err != nil {
		return nil, "", err
	}
	next = stringField(body, "refresh_token")
	if next == "" || next == token {
		return nil, "", fmt.Errorf("the answer has no new refresh token: %.200s", body)
	}
	return body, next, nil
}

func (c *caller) signup(email, password string) error {
	body, _ := json.Marshal(map[string]string{"email": email, "password": password}) // strings always encode
	_, err := c.post("/v1/signup", string(body), http.StatusCreated)
	return err
}

// login returns the first refresh token of a new session.
func (c *caller) login(email, password string) (string, error) {
	in, _ := json.Marshal(map[string]string{"identifier": email, "password": password})
	body, err := c.post("/v1/login", string(in), http.StatusOK)
	if err != nil {
		return "", err
	}
	return stringField(body, "refresh_token"), nil
}

func (c *caller) post(path, body string, want int) ([]byte, error) {
	answer, err := c.call(path, body, want)
	if err != nil {
		c.hangUp()
	}
	return answer, err
}

func (c *caller) call(path, body string, want int) ([]byte, error) {
	now := time.Now()
	if now.Sub(c.used) > idleLimit {
		c.hangUp()
	}
	c.used = now
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.address, callTimeout)
		if err != nil {
			return nil, err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(now.Add(callTimeout)); err != nil {
		return nil, err
	}
	c.out = fmt.Appendf(c.out[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, c.address, userAgent, len(body), body)
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != want {
		return nil, fmt.Errorf("POST %s: %s: %.200s", path, res.Status, answer)
	}
	if res.Close {
		c.hangUp()
	}
	return answer, nil
}

func (c *caller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// stringField finds a member that holds a token. Decoding the whole answer
// would cost the load generator more than the rest of the call.
func stringField(body []byte, name string) string {
	_, rest, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}
