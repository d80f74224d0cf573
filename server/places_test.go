package server_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/bitjang/bitjang/server"
)

// somePlaces writes a database with two networks.
func somePlaces(t *testing.T) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	names := func(en, ko string) mmdbtype.Map {
		return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(en), "ko": mmdbtype.String(ko)}}
	}
	for network, record := range map[string]mmdbtype.Map{
		"192.0.2.0/24":  {"city": names("Seoul", "서울"), "country": names("South Korea", "대한민국")},
		"2001:db8::/32": {"country": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Germany")}}},
	} {
		_, ipnet, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(ipnet, record); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "places.mmdb")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	p, err := server.OpenPlaces(somePlaces(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, tt := range []struct{ addr, lang, want string }{
		{"192.0.2.7", "en", "Seoul, South Korea"},
		{"192.0.2.7", "ko", "서울, 대한민국"},
		{"::ffff:192.0.2.7", "ko", "서울, 대한민국"},
		{"192.0.2.7", "fr", "Seoul, South Korea"},
		{"2001:db8::1", "ko", "Germany"},
		{"198.51.100.1", "en", ""},
	} {
		if got := p.Of(netip.MustParseAddr(tt.addr), tt.lang); got != tt.want {
			t.Errorf("%s in %s: got %q, want %q", tt.addr, tt.lang, got, tt.want)
		}
	}
	if got := p.Of(netip.Addr{}, "en"); got != "" {
		t.Errorf("no address: got %q", got)
	}
	broken := filepath.Join(t.TempDir(), "broken.mmdb")
	if err := os.WriteFile(broken, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.OpenPlaces(broken, "/no/such/file"); err == nil || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("got %v, want both files named", err)
	}
}

func TestPlacesAreShown(t *testing.T) {
	t.Parallel()
	places, err := server.OpenPlaces(somePlaces(t))
	if err != nil {
		t.Fatal(err)
	}
	defer places.Close()
	r := newUserRig(t, func(s *setup) { s.Options.Places = places })
	tk := r.login() // httptest's callers are in 192.0.2.0/24
	if a := r.do("GET", "/v1/sessions", nil, bearer(tk.access), header("Accept-Language", "ko")).want(200); !strings.Contains(string(a.Body), `"location":"서울, 대한민국"`) {
		t.Errorf("got %s", a.Body)
	}
}
