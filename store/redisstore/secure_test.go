package redisstore_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/redisstore"
)

// permitted is all that the store needs. The package comment says the same.
const permitted = "~bitjang:* resetchannels -@all +eval +evalsha +get +mget +set +setrange +exists +del +pexpire +pttl" +
	" +zadd +zrem +zrange +zrangebylex +zrangebyscore +zscan +zscore +xadd +xinfo +xrange +xtrim" +
	" +ping +info +config|get +wait +role +select +cluster|slots +cluster|shards"

func TestPermittedIsDocumented(t *testing.T) {
	source, err := os.ReadFile("redisstore.go")
	ok(t, err)
	doc := strings.Join(strings.Fields(strings.ReplaceAll(string(source), "\n//", " ")), " ")
	if !strings.Contains(doc, "ACL SETUSER bitjang on >password "+permitted) {
		t.Error("the package comment has another list of permissions")
	}
}

func limited() servers.RedisOptions {
	return servers.RedisOptions{Extra: "user bitjang on >geheim " + permitted}
}

// as puts the limited user into an address.
func as(address string) string { return strings.Replace(address, "://", "://bitjang:geheim@", 1) }

// refusals are what the server has refused to do for the limited user.
func refusals(t *testing.T, server *servers.Server) {
	t.Helper()
	log, err := server.CLI(t.Context(), "ACL LOG")
	ok(t, err)
	if strings.TrimSpace(log) != "" {
		t.Errorf("refused:\n%s", log)
	}
}

func TestLimitedUser(t *testing.T) {
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) { return servers.Redis(ctx, limited()) })
	t.Run("suite", func(t *testing.T) { suite(t, as(server.URL())) })
	_, err := open(t, as(server.URL())).Check(t.Context())
	ok(t, err)
	refusals(t, server)
}

func TestLimitedUserOfCluster(t *testing.T) {
	group := servers.Own(t, func(ctx context.Context) (*servers.ClusterGroup, error) { return servers.Cluster(ctx, limited()) })
	st := open(t, as(group.URL()), "replicas", "1")
	populate(t, st)
	_, err := st.Check(t.Context())
	ok(t, err)
	for _, node := range group.Nodes {
		refusals(t, node)
	}
}

func TestLimitedUserOfSentinel(t *testing.T) {
	group := servers.Own(t, func(ctx context.Context) (*servers.SentinelGroup, error) { return servers.Sentinel(ctx, limited()) })
	st := open(t, as(group.URL()), "replicas", "1")
	populate(t, st)
	_, err := st.Check(t.Context())
	ok(t, err)
	for _, node := range group.Nodes {
		refusals(t, node)
	}
}

// TestMinimalUser may not even look at the settings.
func TestMinimalUser(t *testing.T) {
	list := strings.NewReplacer(" +info", "", " +config|get", "").Replace(permitted)
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{Extra: "user bitjang on >geheim " + list})
	})
	st := open(t, as(server.URL()))
	populate(t, st)
	findings, err := st.Check(t.Context())
	ok(t, err)
	if len(findings) != 1 || !strings.Contains(findings[0].Hint, "INFO") {
		t.Errorf("got %v, want a hint at INFO", findings)
	}
}

// certificates writes a certificate of its own authority for 127.0.0.1 and its
// key, and returns the files.
func certificates(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	ok(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	ok(t, err)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		ok(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}

func TestTLS(t *testing.T) {
	cert, key := certificates(t)
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{Password: "geheim", TLSCert: cert, TLSKey: key, TLSCA: cert, TLSClients: true})
	})
	st := open(t, server.URL(), "ca", cert, "cert", cert, "key", key)
	populate(t, st)
	otherCert, otherKey := certificates(t)
	for name, parameters := range map[string][]string{
		"an unknown authority":     {"cert", cert, "key", key},
		"another authority":        {"ca", otherCert, "cert", cert, "key", key},
		"no client certificate":    {"ca", cert},
		"another client":           {"ca", cert, "cert", otherCert, "key", otherKey},
		"a key of another":         {"ca", cert, "cert", cert, "key", otherKey},
		"a file that is not there": {"ca", cert + "x"},
		"a file of something else": {"ca", key},
	} {
		t.Run(name, func(t *testing.T) {
			st, err := redisstore.Open(t.Context(), with(t, server.URL(), parameters...), redisstore.Options{})
			if err == nil {
				st.Close()
				t.Fatal("got no error")
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
