package redisstore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]address{
		"redis://localhost":                           {hosts: []string{"localhost:6379"}},
		"redis://localhost/":                          {hosts: []string{"localhost:6379"}},
		"valkey://10.0.0.1:7000/2":                    {hosts: []string{"10.0.0.1:7000"}, db: 2},
		"rediss://redis.example.com":                  {hosts: []string{"redis.example.com:6379"}, tls: true},
		"valkeys://h?ca=/a/ca.pem&cert=c&key=k":       {hosts: []string{"h:6379"}, tls: true, ca: "/a/ca.pem", cert: "c", key: "k"},
		"redis://[::1]":                               {hosts: []string{"[::1]:6379"}},
		"redis://[2001:db8::1]:7000/0":                {hosts: []string{"[2001:db8::1]:7000"}},
		"redis://bitjang:s%2Fe%40c%3Aret@h":           {hosts: []string{"h:6379"}, user: "bitjang", password: "s/e@c:ret"},
		"redis://:a:b@h":                              {hosts: []string{"h:6379"}, password: "a:b"},
		"redis://u:p@h?prefix=x:&timeout=250ms":       {hosts: []string{"h:6379"}, user: "u", password: "p", prefix: "x:", timeout: 250 * time.Millisecond},
		"redis+cluster://a:1,[::1]:2,c":               {kind: cluster, hosts: []string{"a:1", "[::1]:2", "c:6379"}},
		"rediss+cluster://u:p@a/0?replicas=1":         {kind: cluster, tls: true, hosts: []string{"a:6379"}, user: "u", password: "p", replicas: 1},
		"valkey+cluster://a":                          {kind: cluster, hosts: []string{"a:6379"}},
		"redis+sentinel://a,b:1/mymaster":             {kind: sentinel, hosts: []string{"a:26379", "b:1"}, master: "mymaster"},
		"valkeys+sentinel://u:p@a/my%20master/3":      {kind: sentinel, tls: true, hosts: []string{"a:26379"}, user: "u", password: "p", master: "my master", db: 3},
		"redis+sentinel://a/m?sentinel_password=s%26": {kind: sentinel, hosts: []string{"a:26379"}, master: "m", sentinelPassword: "s&"},
	} {
		got, err := parseAddress(text)
		if err != nil {
			t.Errorf("%s: got %v, want no error", text, err)
			continue
		}
		if want.prefix == "" {
			want.prefix = defaultPrefix
		}
		if want.timeout == 0 {
			want.timeout = defaultTimeout
		}
		if diff := cmp.Diff(&want, got, cmp.AllowUnexported(address{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestAddressRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "must begin",
		"localhost:6379":                       "must begin",
		"http://h":                             "must begin",
		"redis+://h":                           "must begin",
		"redis+other://h":                      "must begin",
		"postgres+cluster://h":                 "must begin",
		"redis://":                             "a host must be",
		"redis://h:":                           "a host must be",
		"redis://h:0":                          "a host must be",
		"redis://h:65536":                      "a host must be",
		"redis://::1":                          "a host must be",
		"redis://[::1":                         "a host must be",
		"redis://[host]":                       "a host must be",
		"redis://h!":                           "a host must be",
		"redis+cluster://a,,b":                 "a host must be",
		"redis://a,b":                          "several hosts",
		"redis://u@h":                          "no password",
		"redis://u:%zz@h":                      "not percent-encoded",
		"redis://h/x":                          "database must be",
		"redis://h/-1":                         "database must be",
		"redis+cluster://h/1":                  "no database but 0",
		"redis+sentinel://h":                   "name of the group",
		"redis+sentinel://h/m/x":               "database must be",
		"redis://h?timeout=3":                  "timeout must be",
		"redis://h?timeout=-3s":                "timeout must be",
		"redis://h?timeout=1h":                 "timeout must be",
		"redis://h?replicas=-1":                "replicas must be",
		"redis://h?replicas=x":                 "replicas must be",
		"redis://h?prefix=":                    "prefix must not be",
		"redis://h?prefix={x}":                 "prefix must not be",
		"redis://h?prefix=a&prefix=b":          "given twice",
		"redis://h?insecure_skip_verify=1":     "unknown parameter",
		"redis://h?ca=x":                       "for TLS",
		"rediss://h?cert=x":                    "belong together",
		"redis://h?sentinel_password=x":        "for redis+sentinel",
		"redis+sentinel://h/m?sentinel_user=x": "no sentinel_password",
		"redis://h?prefix=%zz":                 "not percent-encoded",
		"redis://h h":                          "percent-encoded",
	} {
		if _, err := parseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

// TestAddressKeepsSecrets spoils addresses in all ways: whatever is wrong, and
// wherever an unescaped password ends up, no error may show it.
func TestAddressKeepsSecrets(t *testing.T) {
	const secret = "S3cr3t"
	passwords := []string{secret}
	for _, odd := range []string{"/", "?", "#", "@", ":", "%", "&", "=", ",", "[", "]", " ", "\\", "//", "?@", "12345?a", "/@", "%zz", "1/2?x="} {
		passwords = append(passwords, odd+secret, secret+odd, secret+odd+secret)
	}
	for _, scheme := range []string{"redis", "rediss+cluster", "redis+sentinel", "redis+nonsense"} {
		for _, password := range passwords {
			for _, tail := range []string{"h", "h:x", "h/x", "h?x=y", "h?timeout=x", "", "h/m?sentinel_password=" + secret + "&x=1", "h?replicas=" + secret} {
				text := scheme + "://u:" + password + "@" + tail
				a, err := parseAddress(text)
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%s: the error shows the password: %v", text, err)
				}
				if err == nil && !slices.ContainsFunc(a.secrets(), func(s string) bool { return strings.Contains(s, secret) }) {
					t.Errorf("%s: the password is not among the secrets", text)
				}
			}
		}
	}
}

func TestRedact(t *testing.T) {
	a, err := parseAddress("redis+sentinel://u:abc@h/m?sentinel_password=abcdef")
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{secrets: a.secrets()}
	if got, want := s.redact("unknown command AUTH u abc abcdef"), "unknown command AUTH u *** ***"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
