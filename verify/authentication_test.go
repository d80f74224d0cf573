package verify

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRequireAuthentication(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, func(c *Config) { c.Leeway = 10 * time.Second })
	proved := func(ago time.Duration, acr string) *Claims {
		c := *goodClaims()
		c.AuthTime, c.ACR = testNow.Add(-ago).Unix(), acr
		return &c
	}
	silent := proved(0, "")
	silent.AuthTime = 0
	refused := func(wanted string) answer {
		const detail = "the user must prove who they are once more, or better"
		return answer{401, realm + `, error="insufficient_user_authentication", error_description="` + detail + `"` + wanted, "insufficient_user_authentication", detail}
	}
	for _, tt := range []struct {
		name   string
		demand Authentication
		claims *Claims
		want   answer
	}{
		{"the level", Authentication{ACR: []string{"aal2"}}, proved(time.Hour, "aal2"), answer{Status: 200}},
		{"one of the levels", Authentication{ACR: []string{"aal1", "aal2"}}, proved(time.Hour, "aal2"), answer{Status: 200}},
		{"nothing in particular", Authentication{}, silent, answer{Status: 200}},
		{"a lower level", Authentication{ACR: []string{"aal2"}}, proved(0, "aal1"), refused(`, acr_values="aal2"`)},
		{"no level", Authentication{ACR: []string{"aal2", "aal3"}}, proved(0, ""), refused(`, acr_values="aal2 aal3"`)},
		{"the empty level", Authentication{ACR: []string{""}}, proved(0, ""), refused(`, acr_values=""`)},
		{"lately enough", Authentication{MaxAge: time.Minute}, proved(70*time.Second, ""), answer{Status: 200}},
		{"too long ago", Authentication{MaxAge: time.Minute}, proved(71*time.Second, "aal2"), refused(`, max_age="60"`)},
		{"at no known time", Authentication{MaxAge: time.Minute}, silent, refused(`, max_age="60"`)},
		{"the level, too long ago", Authentication{ACR: []string{"aal2"}, MaxAge: time.Minute}, proved(time.Hour, "aal2"), refused(`, acr_values="aal2", max_age="60"`)},
	} {
		guard := v.RequireAuthentication(tt.demand)
		got, _ := ask(t, guard(whoAmI), func(r *http.Request) { *r = *r.WithContext(NewContext(r.Context(), tt.claims)) })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", tt.name, diff)
		}
	}
	if got, _ := ask(t, v.RequireAuthentication(Authentication{})(whoAmI), nil); got.Status != 401 {
		t.Errorf("without the middleware before it: got %d, want 401", got.Status)
	}
}
