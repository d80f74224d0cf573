package grpcauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bitjang/bitjang/verify"
)

type keys struct {
	key *verify.Key
	err error
}

func (k *keys) Key(context.Context, string) (*verify.Key, error) { return k.key, k.err }

// whoAmI is a service that every gRPC client has: it answers if it knows who asks.
type whoAmI struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (whoAmI) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if c, ok := verify.FromContext(ctx); !ok || c.Subject != "ann" {
		return nil, status.Error(codes.Internal, "nobody")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (whoAmI) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	if c, ok := verify.FromContext(s.Context()); !ok || c.Subject != "ann" {
		return status.Error(codes.Internal, "nobody")
	}
	return s.Send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING})
}

func TestCallsNeedAnAccessToken(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	source := &keys{key: &verify.Key{ID: "k", Algorithm: "ES256", Public: key.Public()}}
	v, err := verify.New(verify.Config{Issuer: "https://id.example.com", Audience: "orders", Keys: source, CacheSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(Unary(v)), grpc.StreamInterceptor(Stream(v)))
	grpc_health_v1.RegisterHealthServer(server, whoAmI{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := grpc_health_v1.NewHealthClient(conn)
	good := mint(t, key, "")
	for _, tt := range []struct {
		name string
		md   []string
		keys error
		want codes.Code
	}{
		{"a good token", []string{"authorization", "Bearer " + good}, nil, codes.OK},
		{"no token", nil, nil, codes.Unauthenticated},
		{"a broken token", []string{"authorization", "Bearer " + good + "x"}, nil, codes.Unauthenticated},
		{"two tokens", []string{"authorization", "Bearer " + good, "authorization", "Bearer " + good}, nil, codes.InvalidArgument},
		{"a token that is bound to a key", []string{"authorization", "Bearer " + mint(t, key, `,"cnf":{"jkt":"x"}`)}, nil, codes.Unauthenticated},
		{"no keys to check with", []string{"authorization", "Bearer " + good}, errors.New("down"), codes.Unavailable},
	} {
		source.err = tt.keys
		ctx := metadata.AppendToOutgoingContext(t.Context(), tt.md...)
		if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != tt.want {
			t.Errorf("%s, in a stream: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func mint(t *testing.T, key *ecdsa.PrivateKey, more string) string {
	t.Helper()
	now := time.Now().Unix()
	text := b64([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"k"}`)) + "." + b64(fmt.Appendf(nil,
		`{"iss":"https://id.example.com","aud":"orders","sub":"ann","client_id":"web","jti":"j","iat":%d,"exp":%d,"gen":0%s}`, now, now+60, more))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
