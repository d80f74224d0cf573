package servers

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// RedisOptions says how a Redis differs from the usual one: with an append-only
// file, without a password.
type RedisOptions struct {
	AppendFsync string // "always", "everysec" or "no"; empty is everysec
	User        string // an ACL user with all rights; the default user is then off
	Password    string // of User, or of the default user
	Extra       string // more lines for redis.conf

	// TLS instead of plain TCP, where TLSCert is not empty: files in PEM. Without
	// TLSCA the certificate is its own authority. With TLSClients, clients need a
	// certificate too; redis-cli then presents the server's.
	TLSCert, TLSKey, TLSCA string
	TLSClients             bool
}

type redis struct {
	server, client string
	options        RedisOptions
	more           func(s *Server, c *redisConfig) // what a group adds, or nil
}

// Redis starts one Redis.
func Redis(ctx context.Context, options RedisOptions) (*Server, error) {
	k, err := newRedis(options)
	if err != nil {
		return nil, err
	}
	return single(ctx, "redis", k, nil, nil)
}

// newRedis finds the programs: Redis, or Valkey, which takes the same
// configuration, where only that is installed.
func newRedis(options RedisOptions) (*redis, error) {
	server, err := program("redis-server", "redis-server", "valkey-server")
	if err != nil {
		return nil, err
	}
	client, err := program("redis-tools", "redis-cli", "valkey-cli")
	return &redis{server: server, client: client, options: options}, err
}

// prepare writes the configuration, once: later Redis itself may rewrite it,
// as when Sentinel makes it a replica.
func (k *redis) prepare(s *Server) error {
	o := k.options
	var c redisConfig
	c.line("bind", "127.0.0.1")
	c.line("dir", s.data)
	c.line("appendonly", "yes")
	c.line("appendfsync", cmp.Or(o.AppendFsync, "everysec"))
	if o.TLSCert == "" {
		c.line("port", strconv.Itoa(s.port))
	} else {
		c.line("port", "0")
		c.line("tls-port", strconv.Itoa(s.port))
		c.line("tls-cert-file", o.TLSCert)
		c.line("tls-key-file", o.TLSKey)
		c.line("tls-ca-cert-file", o.authority())
		c.line("tls-auth-clients", map[bool]string{true: "yes", false: "no"}[o.TLSClients])
	}
	switch {
	case o.User != "":
		c.line("user", o.User, "on", ">"+o.Password, "~*", "&*", "+@all")
		c.line("user", "default", "off")
		c.line("masteruser", o.User)
		c.line("masterauth", o.Password)
	case o.Password != "":
		c.line("requirepass", o.Password)
		c.line("masterauth", o.Password)
	}
	if k.more != nil {
		k.more(s, &c)
	}
	return c.write(s, o.Extra)
}

// redisConfig is a configuration file of Redis or Sentinel.
type redisConfig struct{ text strings.Builder }

func (c *redisConfig) line(name string, values ...string) {
	c.text.WriteString(name)
	for _, v := range values {
		c.text.WriteString(" " + strconv.Quote(v))
	}
	c.text.WriteString("\n")
}

func (c *redisConfig) write(s *Server, extra string) error {
	return os.WriteFile(configPath(s), []byte(c.text.String()+extra+"\n"), 0o600)
}

func configPath(s *Server) string { return filepath.Join(s.home.path, s.name+".conf") }

func (k *redis) command(s *Server) []string { return []string{k.server, configPath(s)} }

// ready also asks for the process id: on our port somebody else could answer.
func (k *redis) ready(ctx context.Context, s *Server, pid int) error {
	out, err := k.cli(ctx, s, "INFO server\nPING\n")
	switch {
	case err != nil:
		return err
	case !strings.Contains(out, fmt.Sprintf("process_id:%d\r", pid)):
		return fmt.Errorf("another server answers on port %d", s.port)
	case strings.TrimSpace(out[strings.LastIndex(out, "\r\n")+1:]) != "PONG":
		return fmt.Errorf("not ready: %s", out[strings.LastIndex(out, "\r\n")+1:])
	}
	return nil
}

func (k *redis) cli(ctx context.Context, s *Server, input string) (string, error) {
	cmd := k.clientCommand("-h", "127.0.0.1", "-p", strconv.Itoa(s.port))
	cmd.Stdin = strings.NewReader(input)
	return s.home.run(ctx, s.as, cmd)
}

// clientCommand is redis-cli with what it needs to be let in.
func (k *redis) clientCommand(args ...string) *exec.Cmd {
	o := k.options
	if o.User != "" {
		args = append([]string{"--user", o.User}, args...)
	}
	switch {
	case o.TLSCert == "":
	case o.TLSClients:
		args = append([]string{"--tls", "--cacert", o.authority(), "--cert", o.TLSCert, "--key", o.TLSKey}, args...)
	default:
		args = append([]string{"--tls", "--cacert", o.authority()}, args...)
	}
	cmd := exec.Command(k.client, args...)
	if o.Password != "" {
		cmd.Env = []string{"REDISCLI_AUTH=" + o.Password}
	}
	return cmd
}

func (k *redis) url(s *Server) string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), Path: "/0", User: k.options.userinfo()}
	if k.options.TLSCert != "" {
		u.Scheme = "rediss"
	}
	return u.String()
}

func (o RedisOptions) authority() string { return cmp.Or(o.TLSCA, o.TLSCert) }

// userinfo is what stands before the @ of an address, nil for nothing.
func (o RedisOptions) userinfo() *url.Userinfo {
	if o.User == "" && o.Password == "" {
		return nil
	}
	return url.UserPassword(o.User, o.Password)
}

func (k *redis) immediate(p *process) error { return p.kill() }
