// Package grpcauth shows package verify as interceptors of a gRPC server: the
// access token travels in the metadata "authorization", as in HTTP.
package grpcauth

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bitjang/bitjang/verify"
)

// Unary lets calls through whose access token is good; handlers find the claims
// with verify.FromContext.
func Unary(v *verify.Verifier) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := authenticate(ctx, v)
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// Stream does the same for streams. A stream outlives its token: what should end
// with the session has to look again.
func Stream(v *verify.Verifier) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := authenticate(s.Context(), v)
		if err != nil {
			return err
		}
		return next(srv, &authenticated{s, ctx})
	}
}

type authenticated struct {
	grpc.ServerStream
	ctx context.Context
}

func (a *authenticated) Context() context.Context { return a.ctx }

// authenticate refuses tokens that are bound to a key: DPoP proofs are for HTTP
// requests (RFC 9449), and gRPC has no place for them.
func authenticate(ctx context.Context, v *verify.Verifier) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) > 1 {
		return nil, status.Error(codes.InvalidArgument, "more than one access token")
	}
	token := ""
	if len(values) == 1 {
		if scheme, rest, ok := strings.Cut(values[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
			token = rest
		}
	}
	claims, err := v.Verify(ctx, token)
	switch {
	case errors.Is(err, verify.ErrKeysUnavailable), errors.Is(err, verify.ErrFeedUnavailable):
		return nil, status.Error(codes.Unavailable, "access tokens cannot be checked now, try again")
	case err != nil:
		return nil, status.Error(codes.Unauthenticated, strings.TrimPrefix(err.Error(), "verify: "))
	}
	return verify.NewContext(ctx, claims), nil
}
