// Package dpop checks DPoP proofs (RFC 9449): short signed statements with which
// a caller shows, request by request, that it holds the key that a token is
// bound to.
//
// It decides whether a string is a proof, whose key made it, and whether it is
// one for this request, this access token and this moment. Replayed remembers
// proofs for as long as they are good.
//
// It reads no clock, keeps no nonces and knows no store: the caller brings what
// there is to compare with. The root package and package verify import it, and
// it imports internal/jws only.
package dpop
