package server

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
	"golang.org/x/text/language"

	"github.com/bitjang/bitjang"
)

// Places tells where an address is, from databases in MaxMind's format: GeoLite2
// City, Country and ASN, DB-IP and others. It is roughly right: shown to people
// beside an address, and one of the signals of the risk policy (Config.Places).
type Places struct{ readers []*maxminddb.Reader }

// OpenPlaces opens databases. The error names every one that cannot be used.
func OpenPlaces(files ...string) (*Places, error) {
	p := &Places{}
	var errs []error
	for _, file := range files {
		r, err := maxminddb.Open(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("server: %s: %w", file, err))
			continue
		}
		p.readers = append(p.readers, r)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close releases the files.
func (p *Places) Close() error {
	var errs []error
	for _, r := range p.readers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

type placeRecord struct {
	City    placeName `maxminddb:"city"`
	Country placeName `maxminddb:"country"`
}

type placeName struct {
	Names map[string]string `maxminddb:"names"`
}

// in is the name in the first language that there is one in, or else in English.
func (n placeName) in(languages []language.Tag) string {
	for _, tag := range languages {
		base, _ := tag.Base()
		if name := n.Names[base.String()]; name != "" {
			return name
		}
	}
	return n.Names["en"]
}

// Of returns a place in the language of a tag or an Accept-Language header, "" if
// it is not known.
func (p *Places) Of(addr netip.Addr, wishes string) string {
	if p == nil || !addr.IsValid() {
		return ""
	}
	languages, _, _ := language.ParseAcceptLanguage(wishes) // nonsense is no wish
	for _, r := range p.readers {
		var rec placeRecord
		if err := r.Lookup(addr.Unmap()).Decode(&rec); err != nil {
			continue // the next one may know; it is only shown
		}
		parts := slices.DeleteFunc([]string{rec.City.in(languages), rec.Country.in(languages)}, func(s string) bool { return s == "" })
		if len(parts) > 0 {
			return strings.Join(slices.Compact(parts), ", ")
		}
	}
	return ""
}

// factRecord is what risk looks at. Databases of countries, of cities and of
// networks each know a part of it.
type factRecord struct {
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Location struct {
		Lat *float64 `maxminddb:"latitude"`
		Lon *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
	ASN uint32 `maxminddb:"autonomous_system_number"`
	Org string `maxminddb:"autonomous_system_organization"`
}

// Locate implements bitjang.Places: what any of the databases knows.
func (p *Places) Locate(addr netip.Addr) (place bitjang.Place, found bool) {
	if p == nil || !addr.IsValid() {
		return place, false
	}
	for _, r := range p.readers {
		var rec factRecord
		if err := r.Lookup(addr.Unmap()).Decode(&rec); err != nil {
			continue // the next one may know
		}
		if place.Country == "" {
			place.Country = rec.Country.Code
		}
		if place.ASN == 0 {
			place.ASN, place.ASNOrg = rec.ASN, rec.Org
		}
		if l := rec.Location; !place.Located && l.Lat != nil && l.Lon != nil {
			place.Lat, place.Lon, place.Located = *l.Lat, *l.Lon, true
		}
	}
	return place, place != bitjang.Place{}
}
