package passhash

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheListIsSortedLowerCaseAndWithoutShortOnes(t *testing.T) {
	text, ok := strings.CutSuffix(commonText, "\n")
	if !ok {
		t.Fatal("the list does not end in a newline")
	}
	words := strings.Split(text, "\n")
	if len(words) < 3000 { // ASVS 6.2.4
		t.Errorf("got %d passwords, want at least 3000", len(words))
	}
	if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
		t.Error("the list is not sorted, or has something twice")
	}
	for _, word := range words {
		if word != strings.ToLower(word) || utf8.RuneCountInString(word) < 8 || strings.TrimSpace(word) != word {
			t.Errorf("%q is not lower-case, shorter than 8 or has space around it", word)
		}
		if !Common(word) {
			t.Errorf("%q is in the list and not found", word)
		}
	}
}

func TestCommonPasswordsAreFoundAndOthersAreNot(t *testing.T) {
	tests := []struct {
		password string
		want     bool
	}{
		{"password1", true},
		{"qwertyuiop", true},
		{"PassWord1", true},
		{"kD8v-tr9Q-Wm2x", false},
		{"", false},
		{"\n", false},
		{"password1\n", false},
		{"password1\nqwertyuiop", false},
		{"비밀번호비밀번호", false},
		{"\x00\x00\x00\x00\x00\x00\x00\x00", false},
		{strings.Repeat("z", 1000), false},
	}
	for _, tt := range tests {
		if got := Common(tt.password); got != tt.want {
			t.Errorf("Common(%q): got %t, want %t", tt.password, got, tt.want)
		}
	}
}
