package bitjang

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// TOTP as every authenticator app has it: RFC 6238 with SHA-1, six digits and
// thirty seconds.
const (
	totpStep    = 30 * time.Second
	totpDigits  = 6
	totpSecret  = 20 // bytes, as long as the hash (RFC 4226 section 4)
	totpWindow  = 1  // steps before and after this one, for clocks that are off
	totpModulus = 1_000_000
)

// totpCode is the code of a step (RFC 4226 section 5.3).
func totpCode(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	value := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, value%totpModulus)
}

// matchTOTP finds the step that a code belongs to, around now and after last: a
// code that was accepted once, and every older one, never is again.
func matchTOTP(secret []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	current := now.Unix() / int64(totpStep/time.Second)
	for at := current - totpWindow; at <= current+totpWindow; at++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, at)), []byte(code)) == 1 && at > last {
			return at, true
		}
	}
	return 0, false
}

// plainCode takes out what people put into codes to read them.
func plainCode(code Secret) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(code.Reveal())
}

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// TOTPSetup is what an authenticator app needs to know, once.
type TOTPSetup struct {
	Secret Secret // base32, to type in
	URI    Secret // otpauth://, to draw as a QR code
	Setup  Secret // for ConfirmTOTP
}

func (s *Service) totpSetup(u *User, secret []byte) *TOTPSetup {
	text := base32Plain.EncodeToString(secret)
	host := s.cfg.Issuer
	if issuer, err := url.Parse(s.cfg.Issuer); err == nil {
		host = issuer.Host
	}
	host = strings.ReplaceAll(host, ":", "-") // a colon ends the issuer in a label
	uri := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/" + host + ":" + u.Email,
		RawQuery: "secret=" + text + "&issuer=" + url.QueryEscape(host) + "&algorithm=SHA1&digits=6&period=30",
	}
	return &TOTPSetup{Secret: NewSecret(text), URI: NewSecret(uri.String())}
}

// BeginTOTP makes the secret of an authenticator app. Nothing is stored until
// ConfirmTOTP.
func (s *Service) BeginTOTP(ctx context.Context, id Identity) (TOTPSetup, error) {
	u, list, err := s.mayChangeFactors(ctx, id)
	if err != nil {
		return TOTPSetup{}, err
	}
	if len(list) >= maxFactors {
		return TOTPSetup{}, ErrTooManyFactors
	}
	secret := make([]byte, totpSecret)
	rand.Read(secret)
	setup := s.totpSetup(&u, secret)
	setup.Setup, err = s.newSetup(FactorTOTP, &id.Session, secret)
	return *setup, err
}

// DescribeTOTP shows a setup that has begun once more.
func (s *Service) DescribeTOTP(ctx context.Context, id Identity, token Secret) (TOTPSetup, error) {
	facts, err := s.openSetup(FactorTOTP, &id.Session, token)
	if err != nil {
		return TOTPSetup{}, err
	}
	u, err := s.User(ctx, id.Session.UserID)
	if err != nil {
		return TOTPSetup{}, err
	}
	setup := s.totpSetup(&u, facts.Secret)
	setup.Setup = token
	return *setup, nil
}

// ConfirmTOTP adds an authenticator app whose first code shows that it works.
func (s *Service) ConfirmTOTP(ctx context.Context, in EnrolInput) (Tokens, error) {
	if _, _, err := s.mayChangeFactors(ctx, in.Identity); err != nil {
		return Tokens{}, err
	}
	sess := &in.Identity.Session
	facts, err := s.openSetup(FactorTOTP, sess, in.Setup)
	if err != nil {
		return Tokens{}, err
	}
	f, err := s.newTOTP(sess.UserID, in.Name, facts, in.Code)
	if err != nil {
		return Tokens{}, err
	}
	return s.enrol(ctx, f, in, proof{words: []string{"otp"}, second: true})
}

// newTOTP makes the record, if the code is right. The code counts as used.
func (s *Service) newTOTP(userID, name string, facts setupFacts, code Secret) (Factor, error) {
	name, err := checkName(name)
	if err != nil {
		return Factor{}, err
	}
	now := s.clock()
	step, ok := matchTOTP(facts.Secret, plainCode(code), now, 0)
	if !ok {
		return Factor{}, ErrCodeInvalid
	}
	f := Factor{ID: facts.FactorID, UserID: userID, Kind: FactorTOTP, Name: name, Counter: step, CreatedAt: now, UsedAt: now, Version: 1}
	s.sealFactor(&f, facts.Secret)
	return f, nil
}

// proveTOTP accepts a code of any of the user's apps, once.
func (s *Service) proveTOTP(ctx context.Context, list []Factor, code Secret) error {
	for _, f := range ofKind(list, FactorTOTP) {
		right := false
		_, err := s.changeFactor(ctx, f.UserID, f.ID, func(f *Factor) (bool, error) {
			secret, err := s.openFactor(f)
			if err != nil {
				return false, err
			}
			now := s.clock()
			step, ok := matchTOTP(secret, plainCode(code), now, f.Counter)
			if right = ok; ok {
				f.Counter, f.UsedAt = step, now
				s.sealFactor(f, secret) // under the newest master key
			}
			return ok, nil
		})
		if err != nil || right {
			return err
		}
	}
	return ErrCodeInvalid
}
