package servers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRedisOptions(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	for _, tt := range []struct {
		name    string
		options RedisOptions
		prefix  string
	}{
		{"a password", RedisOptions{Password: `odd "p@ss" word`}, "redis://:odd%20%22p%40ss%22%20word@127.0.0.1:"},
		{"a user", RedisOptions{User: "bitjang", Password: "geheim", AppendFsync: "always"}, "redis://bitjang:geheim@127.0.0.1:"},
		{"TLS", RedisOptions{TLSCert: cert, TLSKey: key}, "rediss://127.0.0.1:"},
		{"TLS with client certificates", RedisOptions{TLSCert: cert, TLSKey: key, TLSClients: true, Password: "geheim"}, "rediss://:geheim@127.0.0.1:"},
		{"more configuration", RedisOptions{Extra: "maxclients 77"}, "redis://127.0.0.1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Own(t, func(ctx context.Context) (*Server, error) { return Redis(ctx, tt.options) })
			if !strings.HasPrefix(s.URL(), tt.prefix) || !strings.HasSuffix(s.URL(), "/0") {
				t.Errorf("URL is %s, want %s", s.URL(), tt.prefix)
			}
			say(t, s, "SET k 7\nGET k", "OK\n7")
			if tt.options.AppendFsync != "" {
				say(t, s, "CONFIG GET appendfsync", "appendfsync\n"+tt.options.AppendFsync)
			}
			if tt.options.Extra != "" {
				say(t, s, "CONFIG GET maxclients", "maxclients\n77")
			}
			strangersStayOut(t, s, tt.options)
		})
	}
}

// strangersStayOut tries without a password and without TLS.
func strangersStayOut(t *testing.T, s *Server, o RedisOptions) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = conn.Write([]byte("GET k\r\n"))
	must(t, err)
	answer := make([]byte, 100)
	n, _ := conn.Read(answer) // an end of the connection is an answer too
	let := strings.HasPrefix(string(answer[:n]), "$")
	if open := o.Password == "" && o.TLSCert == ""; let != open {
		t.Errorf("a stranger is let in: %v, want %v: %q", let, open, answer[:n])
	}
}

// certificate makes a certificate of 127.0.0.1 that is its own authority.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600))
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}
