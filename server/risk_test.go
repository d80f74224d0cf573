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

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

// writeDatabase writes a database in MaxMind's format.
func writeDatabase(t *testing.T, records map[string]mmdbtype.Map) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
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

// cityAndASN are two databases, as they are usually given.
func cityAndASN(t *testing.T) *server.Places {
	t.Helper()
	country := func(code string) mmdbtype.Map { return mmdbtype.Map{"iso_code": mmdbtype.String(code)} }
	city := writeDatabase(t, map[string]mmdbtype.Map{
		"192.0.2.0/24":    {"country": country("KR"), "location": mmdbtype.Map{"latitude": mmdbtype.Float64(37.57), "longitude": mmdbtype.Float64(126.98)}},
		"198.51.100.0/24": {"country": country("US"), "location": mmdbtype.Map{"latitude": mmdbtype.Float64(0), "longitude": mmdbtype.Float64(0)}},
		"2001:db8::/32":   {"country": country("DE")},
	})
	asn := writeDatabase(t, map[string]mmdbtype.Map{
		"198.51.100.0/24": {"autonomous_system_number": mmdbtype.Uint32(16509), "autonomous_system_organization": mmdbtype.String("AMAZON-02")},
	})
	p, err := server.OpenPlaces(city, asn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestPlacesAreLocatedByAllDatabasesTogether(t *testing.T) {
	t.Parallel()
	p := cityAndASN(t)
	for addr, want := range map[string]bitjang.Place{
		"192.0.2.7":        {Country: "KR", Lat: 37.57, Lon: 126.98, Located: true},
		"::ffff:192.0.2.7": {Country: "KR", Lat: 37.57, Lon: 126.98, Located: true},
		"198.51.100.9":     {Country: "US", ASN: 16509, ASNOrg: "AMAZON-02", Located: true},
		"2001:db8::1":      {Country: "DE"},
		"203.0.113.1":      {},
	} {
		if got, ok := p.Locate(netip.MustParseAddr(addr)); got != want || ok != (want != bitjang.Place{}) {
			t.Errorf("%s: got %+v, %v, want %+v", addr, got, ok, want)
		}
	}
	var none *server.Places
	if got, ok := none.Locate(netip.MustParseAddr("192.0.2.7")); ok || got != (bitjang.Place{}) {
		t.Errorf("no databases: got %+v", got)
	}
	if _, ok := p.Locate(netip.Addr{}); ok {
		t.Error("no address has a place")
	}
}

// TestAStolenTokenIsFrozenAndItsOwnerToldWhy goes through HTTP with a real
// database of places.
func TestAStolenTokenIsFrozenAndItsOwnerToldWhy(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.Config.Places = cityAndASN(t) })
	stolen, other := r.login(), r.login()
	answer := r.do("POST", "/v1/refresh", map[string]string{"refresh_token": stolen.refresh},
		header("User-Agent", "curl/8.5.0"), peer("198.51.100.9:4711")).want(403)
	if answer.text("code") != "step_up_required" || answer.text("held_for") != "risk" && !strings.Contains(string(answer.Body), "risk") {
		t.Errorf("got %s, want it held for risk", answer.Body)
	}
	r.do("GET", "/v1/me", nil, bearer(stolen.access)).want(403)
	activity := string(r.do("GET", "/v1/activity", nil, bearer(other.access)).want(200).Body)
	for _, want := range []string{`"logged_out":{"state":"held","reason":"risk"`, `"signals":[{"name":`, `{"name":"country_changed","value":"KR\u003eUS"}`} {
		if !strings.Contains(activity, want) {
			t.Errorf("got %s, want %s in it", activity, want)
		}
	}
}
