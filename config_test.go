package bitjang

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func goodConfig() Config {
	return Config{Issuer: "https://auth.example.com", MasterKeys: []Secret{NewMasterKey()}, Store: noStore{}}
}

func TestNewNamesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{})
	checkNames(t, err, "Issuer", "Store", "MasterKeys")
	_, err = New(Config{
		Issuer: "ftp://x", MasterKeys: []Secret{NewSecret("hunter2")},
		AccessTTL: -1, RefreshTTL: -1, SessionTTL: -2, RotationGrace: -1, SessionRetention: -1, EventRetention: -1,
		SessionLimit: -1, OnReuse: "x", OnRollback: "x", Algorithm: "none", KeyRotation: -1, KeyPublication: -1,
		PasswordMemoryKiB: 1, PasswordTime: 101, PasswordWorkers: -1, PasswordQueue: -1,
	})
	checkNames(t, err, "Issuer", "Store", "MasterKeys", "AccessTTL", "RefreshTTL", "SessionTTL", "RotationGrace", "SessionRetention",
		"EventRetention", "SessionLimit", "OnReuse", "OnRollback", "Algorithm", "KeyRotation", "KeyPublication",
		"PasswordMemoryKiB", "PasswordTime", "PasswordWorkers", "PasswordQueue")
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Error("the error shows a master key")
	}
}

func checkNames(t *testing.T, err error, names ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got a service, want an error")
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestNewKeepsEachFieldWithinItsBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*Config)
		good bool
	}{
		{"nothing but what is required is enough", func(c *Config) {}, true},
		{"the issuer may be plain http, for development", func(c *Config) { c.Issuer = "http://localhost:8080" }, true},
		{"the issuer may have a path", func(c *Config) { c.Issuer = "https://example.com/auth" }, true},
		{"the issuer has a host", func(c *Config) { c.Issuer = "https://" }, false},
		{"the issuer has a scheme", func(c *Config) { c.Issuer = "auth.example.com" }, false},
		{"the issuer has no query", func(c *Config) { c.Issuer = "https://example.com?x=1" }, false},
		{"the issuer has no fragment", func(c *Config) { c.Issuer = "https://example.com#x" }, false},
		{"the issuer is not a script", func(c *Config) { c.Issuer = "javascript://x/%0aalert(1)" }, false},
		{"a store is needed", func(c *Config) { c.Store = nil }, false},
		{"a master key is needed", func(c *Config) { c.MasterKeys = nil }, false},
		{"each master key must be one", func(c *Config) { c.MasterKeys = append(c.MasterKeys, NewSecret("x")) }, false},
		{"an empty master key is none", func(c *Config) { c.MasterKeys = append(c.MasterKeys, Secret{}) }, false},
		{"access tokens live a second at least", func(c *Config) { c.AccessTTL = time.Second }, true},
		{"access tokens live no less than a second", func(c *Config) { c.AccessTTL = time.Second - 1 }, false},
		{"access tokens live a day at most", func(c *Config) { c.AccessTTL = day }, true},
		{"access tokens live no more than a day", func(c *Config) { c.AccessTTL = day + 1 }, false},
		{"sessions last as long as refresh tokens at least", func(c *Config) { c.RefreshTTL, c.SessionTTL = day, day }, true},
		{"sessions last no less than refresh tokens", func(c *Config) { c.RefreshTTL, c.SessionTTL = day, day-1 }, false},
		{"grace may be ten minutes", func(c *Config) { c.RotationGrace = 10 * time.Minute }, true},
		{"grace may not be more", func(c *Config) { c.RotationGrace = 10*time.Minute + 1 }, false},
		{"grace may not be less than a second", func(c *Config) { c.RotationGrace = time.Second - 1 }, false},
		{"a reuse may put on hold", func(c *Config) { c.OnReuse = HoldOnReuse }, true},
		{"a reuse may not pass", func(c *Config) { c.OnReuse = "ignore" }, false},
		{"a rollback may be denied", func(c *Config) { c.OnRollback = DenyRollback }, true},
		{"policies are lower-case words", func(c *Config) { c.OnRollback = "Deny" }, false},
		{"EdDSA is known", func(c *Config) { c.Algorithm = "EdDSA" }, true},
		{"RS256 is known", func(c *Config) { c.Algorithm = "RS256" }, true},
		{"none is not an algorithm", func(c *Config) { c.Algorithm = "none" }, false},
		{"HS256 is not an algorithm of ours", func(c *Config) { c.Algorithm = "HS256" }, false},
		{"keys are published no longer than they are used", func(c *Config) { c.KeyRotation, c.KeyPublication = day, day+1 }, false},
		{"hashes take 8 MiB at least", func(c *Config) { c.PasswordMemoryKiB = 8192 }, true},
		{"hashes take no less", func(c *Config) { c.PasswordMemoryKiB = 8191 }, false},
		{"hashes may take 1 GiB", func(c *Config) { c.PasswordMemoryKiB, c.PasswordTime = 1<<20, 4 }, true},
		{"hashes may not take more", func(c *Config) { c.PasswordMemoryKiB = 1<<20 + 1 }, false},
		{"hashes may not cost more than can be checked again", func(c *Config) { c.PasswordMemoryKiB, c.PasswordTime = 1<<20, 5 }, false},
		{"hashes may not take 100 passes over a lot", func(c *Config) { c.PasswordMemoryKiB, c.PasswordTime = 64<<10, 100 }, false},
	} {
		c := goodConfig()
		tt.edit(&c)
		_, err := New(c)
		if (err == nil) != tt.good {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	svc, err := New(goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	c := svc.cfg
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"Audience", c.Audience, "https://auth.example.com"}, {"ClientID", c.ClientID, "bitjang"},
		{"Sessions", c.Sessions, SessionStore(noStore{})}, {"AccessTTL", c.AccessTTL, 10 * time.Minute},
		{"RefreshTTL", c.RefreshTTL, 336 * time.Hour}, {"SessionTTL", c.SessionTTL, 2160 * time.Hour},
		{"RotationGrace", c.RotationGrace, 30 * time.Second}, {"SessionRetention", c.SessionRetention, 720 * time.Hour},
		{"EventRetention", c.EventRetention, 400 * 24 * time.Hour}, {"SessionLimit", c.SessionLimit, 0},
		{"OnReuse", c.OnReuse, RevokeOnReuse}, {"OnRollback", c.OnRollback, AcceptRollback}, {"NoRenewal", c.NoRenewal, false},
		{"Signup", c.Signup, SignupOpen}, {"VerifyEmail", c.VerifyEmail, VerifyOptional}, {"DeletionGrace", c.DeletionGrace, 336 * time.Hour},
		{"SignupRevealExisting", c.SignupRevealExisting, false},
		{"Algorithm", c.Algorithm, "ES256"}, {"KeyRotation", c.KeyRotation, 720 * time.Hour}, {"KeyPublication", c.KeyPublication, 24 * time.Hour},
		{"PasswordMemoryKiB", c.PasswordMemoryKiB, uint32(19456)}, {"PasswordTime", c.PasswordTime, uint32(2)},
		{"PasswordQueue", c.PasswordQueue, 64 * c.PasswordWorkers},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if c.PasswordWorkers < 1 || c.Now == nil || c.Logger == nil || c.Logger.Enabled(t.Context(), slog.LevelError) {
		t.Error("PasswordWorkers, Now or Logger: not the default")
	}
}

func TestNewStartsNothingAndReadsNothing(t *testing.T) {
	t.Parallel()
	// noStore has no methods behind it: any call would panic.
	svc, err := New(goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	if got := svc.Issuer(); got != "https://auth.example.com" {
		t.Errorf("got %q", got)
	}
	if _, err := svc.JWKS(); err != ErrKeysMissing {
		t.Errorf("keys before LoadKeys: got %v, want ErrKeysMissing", err)
	}
	if err := svc.Ready(t.Context()); err != ErrKeysMissing {
		t.Errorf("ready before LoadKeys: got %v, want ErrKeysMissing", err)
	}
}

func TestTheClockIsReadInUTCAndMilliseconds(t *testing.T) {
	t.Parallel()
	c := goodConfig()
	seoul := time.FixedZone("KST", 9*60*60)
	c.Now = func() time.Time { return time.Date(2026, 11, 23, 1, 2, 3, 456_789_012, seoul) }
	svc, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	got := svc.clock()
	if want := time.Date(2026, 11, 22, 16, 2, 3, 456_000_000, time.UTC); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
