// Package passkey does WebAuthn for a bitjang.Service: New makes what
// Config.Passkeys wants. It checks what authenticators answer and keeps nothing;
// which passkey opens what is decided in the root package. Programs that embed
// a service import it, so that those without passkeys do without its library.
package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/bitjang/bitjang"
)

// RelyingParty answers for one host name. Passkeys made under it work nowhere
// else, and not after the service has moved to another one.
type RelyingParty struct {
	web *webauthn.WebAuthn
}

var _ bitjang.Passkeys = (*RelyingParty)(nil)

// ErrNoName says that an issuer's host is an address: browsers make passkeys for
// names only.
var ErrNoName = errors.New("passkey: the issuer's host is an address, and passkeys are for names")

// New makes the relying party of an issuer, which people know as name.
func New(issuer, name string) (*RelyingParty, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("passkey: %q is not a URL", issuer)
	}
	if net.ParseIP(u.Hostname()) != nil {
		return nil, ErrNoName
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: name, RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			// Discoverable, so that it can log in alone; a security key without
			// room for that still serves as a second factor.
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &RelyingParty{web}, nil
}

// account is a user as the library wants it.
type account struct {
	bitjang.PasskeyCeremony
	credentials []webauthn.Credential
}

func (a *account) WebAuthnID() []byte                         { return []byte(a.UserID) }
func (a *account) WebAuthnName() string                       { return a.Email }
func (a *account) WebAuthnCredentials() []webauthn.Credential { return a.credentials }
func (a *account) WebAuthnDisplayName() string {
	if a.Name != "" {
		return a.Name
	}
	return a.Email
}

func newAccount(c bitjang.PasskeyCeremony) (*account, error) {
	a := &account{PasskeyCeremony: c}
	for _, record := range c.Records {
		var cred webauthn.Credential
		if err := json.Unmarshal(record, &cred); err != nil {
			return nil, fmt.Errorf("passkey: read record: %w", err)
		}
		a.credentials = append(a.credentials, cred)
	}
	return a, nil
}

// creation begins a registration. It says the same whenever it is asked with the
// same challenge, and so nothing is kept between the two halves.
func (p *RelyingParty) creation(a *account) (*protocol.CredentialCreation, *webauthn.SessionData, error) {
	var exclude []protocol.CredentialDescriptor
	for i := range a.credentials {
		exclude = append(exclude, a.credentials[i].Descriptor())
	}
	return p.web.BeginRegistration(a, func(o *protocol.PublicKeyCredentialCreationOptions) error {
		o.Challenge, o.CredentialExcludeList = a.Challenge, exclude
		return nil
	})
}

func (p *RelyingParty) request(a *account) (*protocol.CredentialAssertion, *webauthn.SessionData, error) {
	want := protocol.VerificationPreferred
	if a.MustVerify {
		want = protocol.VerificationRequired
	}
	option := func(o *protocol.PublicKeyCredentialRequestOptions) error {
		o.Challenge, o.UserVerification = a.Challenge, want
		return nil
	}
	if a.UserID == "" {
		return p.web.BeginDiscoverableLogin(option)
	}
	return p.web.BeginLogin(a, option)
}

// CreationOptions implements bitjang.Passkeys.
func (p *RelyingParty) CreationOptions(c bitjang.PasskeyCeremony) ([]byte, error) {
	a, err := newAccount(c)
	if err != nil {
		return nil, err
	}
	made, _, err := p.creation(a)
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return json.Marshal(made.Response)
}

// Register implements bitjang.Passkeys.
func (p *RelyingParty) Register(c bitjang.PasskeyCeremony, answer []byte) (bitjang.PasskeyUse, error) {
	a, err := newAccount(c)
	if err != nil {
		return bitjang.PasskeyUse{}, err
	}
	_, session, err := p.creation(a)
	if err != nil {
		return bitjang.PasskeyUse{}, fmt.Errorf("passkey: %w", err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return bitjang.PasskeyUse{}, explained(err)
	}
	cred, err := p.web.CreateCredential(a, *session, parsed)
	if err != nil {
		return bitjang.PasskeyUse{}, explained(err)
	}
	if slices.ContainsFunc(a.credentials, func(old webauthn.Credential) bool { return bytes.Equal(old.ID, cred.ID) }) {
		return bitjang.PasskeyUse{}, errors.New("passkey: the account has this one already")
	}
	return use(cred, len(a.credentials), parsed.Response.AttestationObject.AuthData.Flags.HasUserVerified())
}

// RequestOptions implements bitjang.Passkeys.
func (p *RelyingParty) RequestOptions(c bitjang.PasskeyCeremony) ([]byte, error) {
	a, err := newAccount(c)
	if err != nil {
		return nil, err
	}
	asked, _, err := p.request(a)
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return json.Marshal(asked.Response)
}

// Owner implements bitjang.Passkeys: the user handle, which a discoverable
// passkey brings along.
func (p *RelyingParty) Owner(answer []byte) (string, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return "", explained(err)
	}
	if len(parsed.Response.UserHandle) == 0 {
		return "", errors.New("passkey: the answer names no user")
	}
	return string(parsed.Response.UserHandle), nil
}

// Assert implements bitjang.Passkeys.
func (p *RelyingParty) Assert(c bitjang.PasskeyCeremony, answer []byte) (bitjang.PasskeyUse, error) {
	a, err := newAccount(c)
	if err != nil {
		return bitjang.PasskeyUse{}, err
	}
	if len(a.credentials) == 0 {
		return bitjang.PasskeyUse{}, errors.New("passkey: the user has none")
	}
	_, session, err := p.request(a)
	if err != nil {
		return bitjang.PasskeyUse{}, fmt.Errorf("passkey: %w", err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return bitjang.PasskeyUse{}, explained(err)
	}
	cred, err := p.web.ValidateLogin(a, *session, parsed)
	if err != nil {
		return bitjang.PasskeyUse{}, explained(err)
	}
	index := slices.IndexFunc(a.credentials, func(old webauthn.Credential) bool { return bytes.Equal(old.ID, cred.ID) })
	return use(cred, index, parsed.Response.AuthenticatorData.Flags.HasUserVerified())
}

func use(cred *webauthn.Credential, index int, verified bool) (bitjang.PasskeyUse, error) {
	u := bitjang.PasskeyUse{
		Index: index, Counter: cred.Authenticator.SignCount, Verified: verified,
		Synced: cred.Flags.BackupEligible, Cloned: cred.Authenticator.CloneWarning,
	}
	cred.Attestation = webauthn.CredentialAttestation{} // nobody asks for it again
	var err error
	u.Record, err = json.Marshal(cred)
	return u, err
}

// explained adds what the library keeps beside its errors, for the log.
func explained(err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return fmt.Errorf("passkey: %w (%s)", err, e.DevInfo)
	}
	return fmt.Errorf("passkey: %w", err)
}
