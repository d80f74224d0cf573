package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
	"github.com/bitjang/bitjang/store/sqlstore"
)

func (p *program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service",
		Long: `Serve runs the service until SIGTERM or an interrupt; then it takes no more
requests, answers those under way and exits. A second signal ends it at once.

Without settings it keeps everything in ./bitjang-data and listens on
http://localhost:8080. Each flag has a variable, in brackets, and a key in
bitjang.yaml: --access-ttl is BITJANG_ACCESS_TTL and access_ttl. The master key
has no flag: BITJANG_MASTER_KEY, or the file.`,
		Example: "  bitjang serve\n  BITJANG_ISSUER=https://id.example.com bitjang serve --listen :8080",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			started := time.Now()
			c, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			return p.serve(cmd.Context(), c, started)
		},
	}
	addSettings(cmd)
	return cmd
}

func newLogger(c *config, w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: c.logLevel}
	if c.logJSON {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// serve listens before it opens anything, so that a second instance on the
// same port leaves the data alone.
func (p *program) serve(ctx context.Context, c *config, started time.Time) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := newLogger(c, p.err)
	c.service.Logger, c.server.Logger = log, log
	public, admin, err := listen(ctx, c)
	if err != nil {
		return err
	}
	defer closeAll(public, admin)
	svc, st, origin, err := openService(ctx, c, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	handler, err := server.New(svc, c.server)
	if err != nil {
		return err
	}
	servers := []listening{{publicServer(handler, log), public}}
	if admin != nil {
		servers = append(servers, listening{adminServer(svc, log), admin})
	}
	b, err := newBanner(ctx, c, st.database, origin, public, admin)
	if err != nil {
		return err
	}
	p.collectLess()
	failed, done := start(ctx, servers, svc)
	b.warn(log)
	b.print(p.out, time.Since(started))
	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info("stopping", "timeout", c.shutdownTimeout.String())
	}
	stop() // from here on a second signal ends the process
	drain(servers, c.shutdownTimeout, log)
	<-done
	return err
}

// collectLess lets the heap grow to three times what lives on it, unless GOGC
// says otherwise. Hardly anything lives on it, so by default the collector
// would run many times a second for nothing.
func (p *program) collectLess() {
	for _, v := range p.environ() {
		if strings.HasPrefix(v, "GOGC=") {
			return
		}
	}
	debug.SetGCPercent(200)
}

// newBanner gathers what the operator is told at the start.
func newBanner(ctx context.Context, c *config, store *sqlstore.Store, origin masterKeyOrigin, public, admin net.Listener) (*banner, error) {
	version, err := store.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the version of the database: %w", err)
	}
	b := &banner{config: c, origin: origin, tables: version, address: public.Addr().String()}
	if admin != nil {
		b.admin = admin.Addr().String()
	}
	return b, nil
}

// listening is a server and where it listens.
type listening struct {
	server *http.Server
	on     net.Listener
}

func listen(ctx context.Context, c *config) (public, admin net.Listener, err error) {
	public, err = listenOn(ctx, c.listen)
	if err != nil || c.adminListen == "" {
		return public, nil, err
	}
	admin, err = listenOn(ctx, c.adminListen)
	if err != nil {
		closeAll(public)
		return nil, nil, fmt.Errorf("admin listener: %w", err)
	}
	return public, admin, nil
}

func listenOn(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, fs.ErrPermission) {
		err = hinted(err, "ports below 1024 are for the system: choose another one, or give the program the capability CAP_NET_BIND_SERVICE")
	}
	return l, err
}

// closeAll is for listeners that no server has closed yet.
func closeAll(listeners ...net.Listener) {
	for _, l := range listeners {
		if l != nil {
			_ = l.Close()
		}
	}
}

// publicServer bounds what a client can make us wait or hold for it.
func publicServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' broken connections
	}
}

// start begins to serve. The first channel says that a listener broke, the
// second that the background work has ended, as it does with ctx.
func start(ctx context.Context, servers []listening, svc *bitjang.Service) (<-chan error, <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	failed, done := make(chan error, len(servers)), make(chan struct{})
	for _, s := range servers {
		go func() {
			if err := s.server.Serve(s.on); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve on %s: %w", s.on.Addr(), err)
				cancel()
			}
		}()
	}
	go func() {
		defer close(done)
		defer cancel()
		_ = svc.Run(ctx) // logs what goes wrong and tries again
	}()
	return failed, done
}

// drain lets requests under way finish, for so long.
func drain(servers []listening, limit time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, s := range servers {
		if err := s.server.Shutdown(ctx); err != nil {
			log.Warn("requests cut off, they took longer than the shutdown timeout", "address", s.on.Addr().String())
			_ = s.server.Close()
		}
	}
	log.Info("stopped")
}
