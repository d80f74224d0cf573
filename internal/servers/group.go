package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// groupLimit bounds what a group does under a context without a deadline.
const groupLimit = 30 * time.Second

// group is several servers in one home.
type group struct {
	home *home
	all  []*Server
}

func newGroup(name string) (*group, error) {
	h, err := newHome(name)
	return &group{home: h}, err
}

// add makes servers of one kind and starts them at the same time.
func (g *group) add(ctx context.Context, name string, n int, k kind) ([]*Server, error) {
	added := make([]*Server, n)
	for i := range added {
		s, err := g.home.server(fmt.Sprintf("%s%d", name, i), k, nil)
		if err != nil {
			return nil, err
		}
		added[i] = s
	}
	g.all = append(g.all, added...)
	return added, together(added, func(s *Server) error { return s.first(ctx) })
}

// Close ends all servers of the group and removes their folder.
func (g *group) Close() error {
	return errors.Join(together(g.all, (*Server).Close), g.home.close())
}

// Log is the end of what each server logged, for failure messages.
func (g *group) Log() string {
	var b strings.Builder
	for _, s := range g.all {
		fmt.Fprintf(&b, "%s (%s):\n%s\n", s.name, s.Addr(), s.Log())
	}
	return b.String()
}

func together(servers []*Server, do func(*Server) error) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { errs[i] = do(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// addresses is the host part of a group's address.
func addresses(servers []*Server) string {
	var list []string
	for _, s := range servers {
		list = append(list, s.Addr())
	}
	return strings.Join(list, ",")
}

// withPort is the index of the server on that port, or -1.
func withPort(servers []*Server, port string) int {
	for i, s := range servers {
		if strings.HasSuffix(s.Addr(), ":"+port) {
			return i
		}
	}
	return -1
}

// ask is CLI of a server that may be dead or paused, which then costs a second
// at most.
func ask(ctx context.Context, s *Server, command string) (string, error) {
	if !s.running() {
		return "", fmt.Errorf("%s: does not run", s.name)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	out, err := s.CLI(ctx, command+"\n")
	return strings.TrimSpace(strings.ReplaceAll(out, "\r", "")), err
}

// info is what a Redis says in one section of INFO.
func info(ctx context.Context, s *Server, section string) (map[string]string, error) {
	out, err := ask(ctx, s, "INFO "+section)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), ":"); is {
			fields[name] = value
		}
	}
	return fields, nil
}
