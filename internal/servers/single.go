package servers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// populater is a kind that needs more than a started server: a database, a user.
type populater interface {
	populate(ctx context.Context, s *Server) error
}

// single makes and starts a server with a home of its own. create fills its
// data folder and may be nil.
func single(ctx context.Context, name string, k kind, as *account, create func(context.Context, *Server) error) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*startLimit)
	defer cancel()
	h, err := newHome(name)
	if err != nil {
		return nil, err
	}
	s, err := h.server(name, k, as)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	s.alone = true
	if create != nil {
		err = create(ctx, s)
	}
	if err == nil {
		err = s.first(ctx)
	}
	if p, is := k.(populater); is && err == nil {
		if err = p.populate(ctx, s); err != nil {
			err = s.failed(err)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), s.Close())
	}
	return s, nil
}

// server makes a server that is not started yet.
func (h *home) server(name string, k kind, as *account) (*Server, error) {
	data, err := h.dir(name, as)
	return &Server{kind: k, home: h, name: name, data: data, as: as}, err
}

// poll asks until the answer is nil or ctx is over.
func poll(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
