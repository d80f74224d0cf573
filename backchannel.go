package bitjang

import "context"

// Backchannel delivers logout tokens (OpenID Connect Back-Channel Logout section
// 2.5). Deliver is called in the background, again after an error, for a day.
type Backchannel interface {
	Deliver(ctx context.Context, uri string, logoutToken Secret) error
}
