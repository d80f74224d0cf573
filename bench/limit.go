//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// limitArgument makes this program the limit server. No flag shows it.
const limitArgument = "limit-server"

func isLimitServer() bool { return len(os.Args) == 2 && os.Args[1] == limitArgument }

// limitAnswer has the members of Bitjang's answer to a refresh.
type limitAnswer struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	SessionID        string `json:"session_id"`
}

// limitClaims has the claims of Bitjang's access token.
type limitClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  any      `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`
	SessionID string   `json:"sid"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	AuthTime  int64    `json:"auth_time"`
	AMR       []string `json:"amr"`
	ACR       string   `json:"acr"`
	Gen       uint32   `json:"gen"`
}

// limitServer answers like Bitjang and does nothing of what makes it safe: it
// checks no token, keeps nothing and looks nothing up.
type limitServer struct {
	answer limitAnswer
	claims limitClaims
	header string // of the JWT, encoded, with the dot
	key    *ecdsa.PrivateKey
}

// serveLimit is the whole child process. It reads an answer of Bitjang's as the
// sample, writes its address, and ends when its parent is gone.
func serveLimit(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	sample, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the sample: %w", err)
	}
	s := &limitServer{}
	if err := json.Unmarshal(sample, &s.answer); err != nil {
		return err
	}
	header, rest, _ := strings.Cut(s.answer.AccessToken, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &s.claims); err != nil {
		return err
	}
	s.header = header + "."
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		os.Exit(0)
	}()
	return http.Serve(l, s)
}

// ServeHTTP is what no refresh over HTTP can do without.
func (s *limitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.RefreshToken == "" {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	answer, err := s.issue()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(answer, '\n')) // the caller is gone: nobody to tell
}

func (s *limitServer) issue() ([]byte, error) {
	claims, answer := s.claims, s.answer
	now := time.Now().Unix()
	claims.IssuedAt, claims.ExpiresAt = now, now+answer.ExpiresIn
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	signed := s.header + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(signed))
	x, y, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return nil, err
	}
	var signature [64]byte
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	var token [54]byte
	_, _ = rand.Read(token[:]) // never fails
	answer.AccessToken = signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
	answer.RefreshToken = "bjr_" + base64.RawURLEncoding.EncodeToString(token[:])
	return json.Marshal(answer)
}

// startLimit runs the limit server, with an answer of Bitjang's as its sample,
// and gives it as many callers.
func (b *bench) startLimit(ctx context.Context, one *caller) (*process, error) {
	sample, err := one.refresh(0)
	if err != nil {
		return nil, fmt.Errorf("sample refresh: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, limitArgument)}
	p.cmd.Stderr = &p.errs
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = in.Write(append([]byte(strings.TrimSpace(string(sample))), '\n'))
	if err == nil {
		p.address, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start the limit server: %w\n%s", err, p.errs.String())
	}
	p.address = strings.TrimSpace(p.address)
	for range b.most() {
		p.callers = append(p.callers, &caller{address: p.address, tokens: []string{"bjr_"}})
	}
	return p, b.compareSizes(p, len(sample))
}

// compareSizes makes sure that both servers send the same amount.
func (b *bench) compareSizes(limit *process, size int) error {
	answer, err := limit.callers[0].refresh(0)
	if err == nil && max(len(answer)-size, size-len(answer)) > 16 {
		err = fmt.Errorf("the limit server answers with %d bytes, Bitjang with %d: adapt limitAnswer or limitClaims", len(answer), size)
	}
	if err != nil {
		limit.stop()
	}
	b.results.AnswerBytes = size
	return err
}
