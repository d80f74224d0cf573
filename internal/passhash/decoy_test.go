package passhash

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestADecoyIsCheckedLikeAHashOfTodayAndMatchesNothing(t *testing.T) {
	a, b := Decoy(cheap()), Decoy(cheap())
	if a == b {
		t.Error("two decoys are the same")
	}
	for _, password := range []string{"", "password"} {
		got := resultOf(Verify(a, []byte(password), cheap()))
		if diff := cmp.Diff(result{}, got); diff != "" {
			t.Errorf("password %q (-want +got):\n%s", password, diff)
		}
	}
}
