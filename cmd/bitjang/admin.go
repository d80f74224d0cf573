package main

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bitjang/bitjang"
)

// adminServer serves metrics and profiles. It is never on the public listener,
// and off unless configured.
func adminServer(svc *bitjang.Service, log *slog.Logger) *http.Server {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&serviceMetrics{stats: svc.Stats, build: buildVersion()},
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      2 * time.Minute, // a profile takes as long as it was asked to
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serviceMetrics reads the service's own counters when somebody asks.
type serviceMetrics struct {
	stats func() bitjang.Stats
	build versionInfo
}

var (
	refreshTotal = prometheus.NewDesc("bitjang_refresh_total",
		"Refresh tokens that came back, by verdict.", []string{"verdict"}, nil)
	passwordRunning = prometheus.NewDesc("bitjang_password_running",
		"Password hashes being computed.", nil, nil)
	passwordWaiting = prometheus.NewDesc("bitjang_password_waiting",
		"Logins waiting for a password hash.", nil, nil)
	revokedSessions = prometheus.NewDesc("bitjang_revoked_sessions",
		"Sessions that this node has read of in the revocation feed and whose access tokens may not have expired yet.", nil, nil)
	limitedTotal = prometheus.NewDesc("bitjang_limited_total",
		"What was refused because it came too often, by limit; see docs/limits.md.", []string{"limit"}, nil)
	stuffingTotal = prometheus.NewDesc("bitjang_credential_stuffing_total",
		"How often failed logins to many accounts were noticed.", nil, nil)
	feedFollowers = prometheus.NewDesc("bitjang_feed_followers",
		"Resource servers that follow the revocation feed at this node.", nil, nil)
	buildInfo = prometheus.NewDesc("bitjang_build_info",
		"What runs here; the value is 1.", []string{"version", "goversion"}, nil)
)

// Describe implements prometheus.Collector.
func (m *serviceMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{refreshTotal, passwordRunning, passwordWaiting, revokedSessions, feedFollowers, limitedTotal, stuffingTotal, buildInfo} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *serviceMetrics) Collect(ch chan<- prometheus.Metric) {
	stats := m.stats()
	for verdict, n := range stats.Refreshes {
		ch <- prometheus.MustNewConstMetric(refreshTotal, prometheus.CounterValue, float64(n), verdict)
	}
	ch <- prometheus.MustNewConstMetric(passwordRunning, prometheus.GaugeValue, float64(stats.PasswordRunning))
	ch <- prometheus.MustNewConstMetric(passwordWaiting, prometheus.GaugeValue, float64(stats.PasswordWait))
	ch <- prometheus.MustNewConstMetric(revokedSessions, prometheus.GaugeValue, float64(stats.Revoked))
	for limit, n := range stats.Limited {
		ch <- prometheus.MustNewConstMetric(limitedTotal, prometheus.CounterValue, float64(n), limit)
	}
	ch <- prometheus.MustNewConstMetric(stuffingTotal, prometheus.CounterValue, float64(stats.Stuffing))
	ch <- prometheus.MustNewConstMetric(feedFollowers, prometheus.GaugeValue, float64(stats.Followers))
	ch <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1, m.build.Version, m.build.Go)
}
