package pages

import (
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
)

func TestWhySaysItInOneSentence(t *testing.T) {
	t.Parallel()
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	x := bitjang.Explanation{
		State: "held", Reason: "risk", At: time.Date(2026, 11, 25, 21, 5, 0, 0, time.UTC),
		Session: bitjang.Session{Device: bitjang.Device{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}},
		Signals: []bitjang.Signal{{Name: "ip_changed", Value: "a>b"}, {Name: "country_changed", Value: "KR>US"}, {Name: "browser_changed", Value: "Firefox><b>evil.example"}},
	}
	for lang, want := range map[string]string{
		"en": "Firefox on Linux is on hold since 25 November 2026, 21:05 UTC, until you prove that it is you. We noticed: another country (KR → US), another browser.",
		"ko": "Linux의 Firefox 기기는 2026년 11월 25일 오후 9:05 UTC부터 보류 중이며, 본인임을 확인하시면 이어서 쓰실 수 있습니다. 달라진 점: 다른 나라 (KR → US), 다른 브라우저.",
	} {
		if got := sentence(catalogue.For(lang), &x); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	x.State, x.Reason, x.Signals, x.Session.Device.Name = "ended", "risk", nil, "work"
	if got, want := sentence(catalogue.For("en"), &x), "work was logged out on 25 November 2026, 21:05 UTC because its use was too unusual. We noticed: something unusual."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
