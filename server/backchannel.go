package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
)

// Backchannel posts logout tokens to clients (OpenID Connect Back-Channel Logout
// section 2.5): it is for bitjang.Config. The zero value is ready.
type Backchannel struct {
	Client *http.Client // default: ten seconds for a request, and no redirects
}

var defaultBackchannel = &http.Client{
	Timeout: 10 * time.Second,
	// What a client registered is where it wants to be told, and nowhere else.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// maxBackchannelAnswer is how much of an answer is read: enough to use the
// connection again.
const maxBackchannelAnswer = 64 << 10

// Deliver implements bitjang.Backchannel. A client that calls the token wrong (400)
// is not asked again.
func (b Backchannel) Deliver(ctx context.Context, uri string, token bitjang.Secret) error {
	client := b.Client
	if client == nil {
		client = defaultBackchannel
	}
	body := url.Values{"logout_token": {token.Reveal()}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", bitjang.ErrUndeliverable, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // it names the URI, which may have a secret in it
		}
		return fmt.Errorf("post logout token: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxBackchannelAnswer)) // nothing that it says is needed
	switch {
	case answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusNoContent:
		return nil
	case answer.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: the client refused the logout token", bitjang.ErrUndeliverable)
	}
	return fmt.Errorf("post logout token: the client answered %d", answer.StatusCode)
}
