package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/valkey-io/valkey-go"
)

// kind is how the servers of an address work together.
type kind int

const (
	single kind = iota
	cluster
	sentinel
)

// address is what an address says.
type address struct {
	kind           kind
	tls            bool
	hosts          []string // with ports
	user, password string
	master         string // the group's name at the Sentinels
	db             int

	prefix                         string
	replicas                       int64
	timeout                        time.Duration
	ca, cert, key                  string // files
	sentinelUser, sentinelPassword string
}

const (
	defaultPrefix  = "bitjang:"
	defaultTimeout = 3 * time.Second
)

// schemes are all there are, without their "valkey" spellings.
func schemes(name string) (k kind, tls, ok bool) {
	base, how, _ := strings.Cut(name, "+")
	if rest, is := strings.CutPrefix(base, "valkey"); is {
		base = "redis" + rest
	}
	k, known := map[string]kind{"": single, "cluster": cluster, "sentinel": sentinel}[how]
	if strings.HasSuffix(name, "+") {
		known = false
	}
	return k, base == "rediss", known && (base == "redis" || base == "rediss")
}

// parseAddress reads an address. Its errors name what is wrong and never quote
// it: a password with a character that should have been escaped may have
// spilled into any part.
func parseAddress(text string) (*address, error) {
	a := &address{prefix: defaultPrefix, timeout: defaultTimeout}
	scheme, rest, found := strings.Cut(text, "://")
	var ok bool
	if a.kind, a.tls, ok = schemes(scheme); !found || !ok {
		return nil, addressError("it must begin with redis://, rediss://, redis+cluster://, rediss+cluster://, redis+sentinel:// or rediss+sentinel://")
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r == '#' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, addressError(`a "#", space or control character in it must be percent-encoded`)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(path+query, "@") {
		return nil, addressError(`an "@", "/" or "?" within the password or behind the host must be percent-encoded`)
	}
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		if err := a.credentials(authority[:at]); err != nil {
			return nil, err
		}
	}
	return a, errors.Join(a.setHosts(hosts), a.setPath(path), a.setQuery(query))
}

func addressError(format string, args ...any) error {
	return fmt.Errorf("redis: address: "+format, args...)
}

func (a *address) credentials(text string) error {
	user, password, _ := strings.Cut(text, ":")
	var errUser, errPassword error
	a.user, errUser = url.PathUnescape(user)
	a.password, errPassword = url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return addressError("the user or password is not percent-encoded")
	}
	if a.user != "" && a.password == "" {
		return addressError("there is a user but no password: write :password@ for the default user")
	}
	return nil
}

func (a *address) setHosts(text string) error {
	port := "6379"
	if a.kind == sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(text, ",") {
		withPort, err := hostPort(host, port)
		if err != nil {
			return err
		}
		a.hosts = append(a.hosts, withPort)
	}
	if a.kind == single && len(a.hosts) > 1 {
		return addressError("several hosts: is it redis+cluster:// or redis+sentinel://?")
	}
	return nil
}

// hostPort reads host, host:port, [v6] or [v6]:port.
func hostPort(text, port string) (string, error) {
	bad := addressError("a host must be a name or an address, an IPv6 address in [], and its port a number from 1 to 65535")
	host := text
	if strings.HasSuffix(text, "]") {
		host = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	} else if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", bad
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", bad
	}
	if strings.HasPrefix(text, "[") || strings.Contains(host, ":") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return "", bad
		}
	} else if strings.ContainsFunc(host, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r)
	}) {
		return "", bad
	}
	return net.JoinHostPort(host, port), nil
}

func (a *address) setPath(path string) error {
	if a.kind == sentinel {
		master, db, _ := strings.Cut(path, "/")
		var err error
		if a.master, err = url.PathUnescape(master); err != nil || a.master == "" {
			return addressError("the name of the group must follow the Sentinels: redis+sentinel://host:26379/mymaster")
		}
		path = db
	}
	if path == "" {
		return nil
	}
	db, err := strconv.ParseUint(path, 10, 16)
	if err != nil {
		return addressError("the database must be a number: redis://host:6379/0")
	}
	if a.kind == cluster && db != 0 {
		return addressError("a Cluster has no database but 0")
	}
	a.db = int(db)
	return nil
}

func (a *address) setQuery(text string) error {
	query, err := url.ParseQuery(text)
	if err != nil {
		return addressError("the parameters are not percent-encoded")
	}
	texts := map[string]*string{
		"prefix": &a.prefix, "ca": &a.ca, "cert": &a.cert, "key": &a.key,
		"sentinel_user": &a.sentinelUser, "sentinel_password": &a.sentinelPassword,
	}
	var errs []error
	for name, values := range query {
		value := values[0]
		to, isText := texts[name]
		switch {
		case len(values) > 1:
			err = addressError("a parameter is given twice")
		case isText:
			*to, err = value, nil
		case name == "replicas":
			a.replicas, err = strconv.ParseInt(value, 10, 32)
			if err != nil || a.replicas < 0 || a.replicas > 16 {
				err = addressError("replicas must be a number from 0 to 16")
			}
		case name == "timeout":
			a.timeout, err = time.ParseDuration(value)
			if err != nil || a.timeout < 100*time.Millisecond || a.timeout > time.Minute {
				err = addressError("timeout must be a duration from 100ms to 1m, such as 3s")
			}
		default:
			err = addressError("unknown parameter; there are prefix, replicas, timeout, ca, cert, key, sentinel_user and sentinel_password")
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, a.together(query))...)
}

// together checks what only makes sense with something else.
func (a *address) together(query url.Values) error {
	switch {
	case a.prefix == "" || strings.ContainsAny(a.prefix, "{}"):
		return addressError("prefix must not be empty, nor have { or } in it: those mark the part of a key that chooses a Cluster's node")
	case !a.tls && (a.ca != "" || a.cert != "" || a.key != ""):
		return addressError("ca, cert and key are for TLS: rediss://")
	case (a.cert == "") != (a.key == ""):
		return addressError("cert and key belong together")
	case a.kind != sentinel && (query.Has("sentinel_user") || query.Has("sentinel_password")):
		return addressError("sentinel_user and sentinel_password are for redis+sentinel://")
	case a.sentinelUser != "" && a.sentinelPassword == "":
		return addressError("there is a sentinel_user but no sentinel_password")
	}
	return nil
}

// secrets are the texts that no error may show, longest first.
func (a *address) secrets() []string {
	var list []string
	for _, secret := range []string{a.password, a.sentinelPassword} {
		if secret != "" {
			list = append(list, secret)
		}
	}
	slices.SortFunc(list, func(x, y string) int { return len(y) - len(x) })
	return list
}

func (s *Store) redact(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// topologyEvery is how often the client asks who is primary, besides being told
// and besides noticing by itself.
const topologyEvery = 2 * time.Second

// clientName is ours in the server's list of clients.
const clientName = "bitjang"

// clientOption is the client for an address.
func (a *address) clientOption() (valkey.ClientOption, error) {
	config, err := a.tlsConfig()
	if err != nil {
		return valkey.ClientOption{}, err
	}
	dialer := net.Dialer{Timeout: a.timeout, KeepAlive: time.Second}
	o := valkey.ClientOption{
		InitAddress: a.hosts, Username: a.user, Password: a.password, SelectDB: a.db,
		TLSConfig: config, Dialer: dialer,
		ClientName: clientName, ClientSetInfo: []string{}, // SETINFO needs a permission of its own
		ForceSingleClient: a.kind == single,

		DisableCache: true,
		// A connection on which nothing has come for so long is as good as dead.
		ConnWriteTimeout: max(a.timeout, time.Second),
		// Records are small, and connections that wait for replicas many.
		ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
		BlockingPoolSize: maxWaiting, BlockingPoolCleanup: time.Minute,
		ClusterOption: valkey.ClusterOption{ShardsRefreshInterval: topologyEvery},
	}
	if a.kind == sentinel {
		o.Sentinel = valkey.SentinelOption{
			MasterSet: a.master, Username: a.sentinelUser, Password: a.sentinelPassword,
			ClientName: clientName, TLSConfig: config, Dialer: dialer, TopologyRefreshInterval: topologyEvery,
		}
	}
	return o, nil
}

func (a *address) tlsConfig() (*tls.Config, error) {
	if !a.tls {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, fmt.Errorf("redis: read the certificates to trust: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: no certificate in %s", a.ca)
		}
	}
	if a.cert != "" {
		pair, err := tls.LoadX509KeyPair(a.cert, a.key)
		if err != nil {
			return nil, fmt.Errorf("redis: load the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
