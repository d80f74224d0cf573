package bitjang_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// BenchmarkRisk measures refreshes with risk off and on in turn, and with an
// address that changes each time, so that a machine that others use as well is
// as busy for one as for the other. It reports medians of batches:
//
//	go test -run '^$' -bench BenchmarkRisk -benchtime 60x .
func BenchmarkRisk(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkRisk(b, memory.New(), 400) })
	b.Run("SQLite", func(b *testing.B) {
		st, err := sqlstore.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "x.db"))
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		benchmarkRisk(b, st, 50)
	})
}

func benchmarkRisk(b *testing.B, st bitjang.Store, batch int) {
	kinds := []struct {
		name string
		mode bitjang.RiskMode
		from []bitjang.Caller
	}{
		{"off", bitjang.RiskOff, []bitjang.Caller{laptopAtHome}},
		{"on", bitjang.RiskOn, []bitjang.Caller{laptopAtHome}},
		{"off+roaming", bitjang.RiskOff, []bitjang.Caller{laptopAtHome, at("198.18.2.9", "laptop", firefox)}},
		{"on+roaming", bitjang.RiskOn, []bitjang.Caller{laptopAtHome, at("198.18.2.9", "laptop", firefox)}},
	}
	key := bitjang.NewMasterKey()
	services, tokens := make([]*bitjang.Service, len(kinds)), make([]bitjang.Tokens, len(kinds))
	for i, k := range kinds {
		svc, err := bitjang.New(bitjang.Config{
			Issuer: "https://auth.example.com", MasterKeys: []bitjang.Secret{key}, Store: st, Risk: k.mode, Places: world,
			PasswordMemoryKiB: 8192, PasswordTime: 1, NoRateLimits: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := svc.LoadKeys(b.Context()); err != nil {
			b.Fatal(err)
		}
		email := bitjang.AddUserInput{Email: "u" + string(rune('a'+i)) + "@example.com", Password: bitjang.NewSecret(rightPass)}
		if _, err := svc.AddUser(b.Context(), email); err != nil {
			b.Fatal(err)
		}
		tokens[i], err = svc.Login(b.Context(), bitjang.LoginInput{Identifier: email.Email, Password: email.Password, Caller: laptopAtHome})
		if err != nil {
			b.Fatal(err)
		}
		services[i] = svc
	}
	took := make([][]float64, len(kinds))
	for round := 0; b.Loop(); round++ {
		for n := range kinds {
			i := (n + round) % len(kinds) // nobody is always the first
			started := time.Now()
			for j := range batch {
				next, err := services[i].Refresh(b.Context(), bitjang.RefreshInput{Token: tokens[i].Refresh, Caller: kinds[i].from[j%len(kinds[i].from)]})
				if err != nil {
					b.Fatal(err)
				}
				tokens[i] = next
			}
			took[i] = append(took[i], float64(time.Since(started).Nanoseconds())/float64(batch))
		}
	}
	medians := make([]float64, len(kinds))
	for i, k := range kinds {
		slices.Sort(took[i])
		medians[i] = took[i][len(took[i])/2]
		b.ReportMetric(medians[i]/1000, k.name+"-µs")
	}
	b.ReportMetric(100*medians[0]/medians[1], "%rate-kept")
	b.ReportMetric(100*medians[2]/medians[3], "%rate-kept-roaming")
	b.ReportMetric(0, "ns/op")
}
