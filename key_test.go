package bitjang

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keyAt is an ES256 key that signs from day d on.
func keyAt(id string, d float64) SigningKey {
	from := epoch.Add(time.Duration(d * float64(day)))
	return SigningKey{ID: id, Algorithm: "ES256", CreatedAt: from.Add(-day), ActiveFrom: from}
}

func edKeyAt(id string, d float64) SigningKey {
	k := keyAt(id, d)
	k.Algorithm = "EdDSA"
	return k
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d float64) time.Time { return epoch.Add(time.Duration(d * float64(day))) }

func TestTheScheduleOfSigningKeys(t *testing.T) {
	t.Parallel()
	// A key signs for 30 days, is published a day before, and lingers for the
	// 10 minutes of a token and an hour.
	c := Config{Algorithm: "ES256", AccessTTL: 10 * time.Minute, KeyRotation: 30 * day, KeyPublication: day}
	const lingers = float64(70*time.Minute) / float64(day)
	const blink = float64(time.Millisecond) / float64(day)
	for _, tt := range []struct {
		name string
		keys []SigningKey
		now  time.Time
		want keyPlan
	}{
		{"the first key signs at once", nil, at(0), keyPlan{create: true, from: at(0)}},
		{"a young key has no successor", []SigningKey{keyAt("a", 0)}, at(1), keyPlan{}},
		{"nor just before it is due", []SigningKey{keyAt("a", 0)}, at(29).Add(-time.Millisecond), keyPlan{}},
		{"a day before it is replaced the successor is published", []SigningKey{keyAt("a", 0)}, at(29), keyPlan{create: true, from: at(30)}},
		{"one successor is enough", []SigningKey{keyAt("a", 0), keyAt("b", 30)}, at(29.5), keyPlan{}},
		{"also when the keys come in another order", []SigningKey{keyAt("b", 30), keyAt("a", 0)}, at(29.5), keyPlan{}},
		{"a publication slept through is made up for", []SigningKey{keyAt("a", 0)}, at(29.5), keyPlan{create: true, from: at(30.5)}},
		{"a change slept through is, too", []SigningKey{keyAt("a", 0)}, at(500), keyPlan{create: true, from: at(501)}},
		{"a replaced key stays while tokens of it live", []SigningKey{keyAt("a", 0), keyAt("b", 30)}, at(30 + lingers), keyPlan{}},
		{"and goes then", []SigningKey{keyAt("a", 0), keyAt("b", 30)}, at(30 + lingers + blink), keyPlan{remove: []string{"a"}}},
		{"a key whose successor waits is not replaced", []SigningKey{keyAt("a", 0), keyAt("b", 30)}, at(29.9), keyPlan{}},
		{"all that are replaced go", []SigningKey{keyAt("a", 0), keyAt("b", 1), keyAt("c", 2), keyAt("d", 3)}, at(3.01), keyPlan{remove: []string{"b", "a"}}},
		{"two nodes that made the first key at once keep both for a while", []SigningKey{keyAt("a", 0), keyAt("b", 0)}, at(0.01), keyPlan{}},
		{"and then the one that nobody picks goes", []SigningKey{keyAt("a", 0), keyAt("b", 0)}, at(1), keyPlan{remove: []string{"a"}}},
		{"two successors made at once do not cause a third", []SigningKey{keyAt("a", 0), keyAt("b", 30), keyAt("c", 30)}, at(29.5), keyPlan{}},
		{"another algorithm gets a key of its own at once", []SigningKey{edKeyAt("e", 0)}, at(5), keyPlan{create: true, from: at(5)}},
		{"the key of the algorithm before lingers", []SigningKey{edKeyAt("e", 0), keyAt("a", 5)}, at(5 + lingers), keyPlan{}},
		{"and goes then, too", []SigningKey{edKeyAt("e", 0), keyAt("a", 5)}, at(5 + lingers + blink), keyPlan{remove: []string{"e"}}},
		{"back at the old algorithm, the key that signs is not removed", []SigningKey{keyAt("a", 0), edKeyAt("e", 5)}, at(6), keyPlan{}},
		{"but what it replaced is", []SigningKey{keyAt("z", -30), keyAt("a", 0), edKeyAt("e", 5)}, at(6), keyPlan{remove: []string{"z"}}},
	} {
		got := planKeys(tt.keys, &c, tt.now)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(keyPlan{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestTheScheduleNeverLeavesNoKeyToSignWith(t *testing.T) {
	t.Parallel()
	c := Config{Algorithm: "ES256", AccessTTL: 10 * time.Minute, KeyRotation: 3 * day, KeyPublication: day}
	var keys []SigningKey
	made, removedAt := 0, map[string]time.Time{}
	for now := at(0); now.Before(at(30)); now = now.Add(time.Hour) {
		plan := planKeys(keys, &c, now)
		if plan.create {
			k := keyAt(string(rune('a'+made)), 0)
			k.CreatedAt, k.ActiveFrom = now, plan.from
			keys = append(keys, k)
			made++
			if made > 1 && plan.from.Before(now.Add(c.KeyPublication)) {
				t.Errorf("%v: a key signs %v after it was published", now, plan.from.Sub(now))
			}
		}
		kept := keys[:0]
		for _, k := range keys {
			gone := false
			for _, id := range plan.remove {
				gone = gone || k.ID == id
			}
			if gone {
				removedAt[k.ID] = now
			} else {
				kept = append(kept, k)
			}
		}
		keys = kept
		active := 0
		for _, k := range keys {
			if k.KeyState(keys, now) == "active" {
				active++
			}
		}
		if active != 1 || len(keys) > 3 {
			t.Fatalf("%v: got %d active of %d keys, want one of at most three", now, active, len(keys))
		}
	}
	if made != 11 || len(removedAt) < 8 {
		t.Errorf("got %d keys made and %d removed in 30 days of a key each 3 days", made, len(removedAt))
	}
}

func TestNodesPickTheSameKey(t *testing.T) {
	t.Parallel()
	a, b, later, ed := keyAt("a", 0), keyAt("b", 0), keyAt("c", 10), edKeyAt("d", 5)
	for _, order := range [][]SigningKey{{b, a, later, ed}, {a, b, ed, later}} {
		set := &keySet{}
		for _, k := range order {
			set.keys = append(set.keys, usableKey{SigningKey: k})
		}
		slices.SortFunc(set.keys, func(a, b usableKey) int { return newerKey(a.SigningKey, b.SigningKey) })
		if k, ok := set.active("ES256", at(5)); !ok || k.ID != "b" {
			t.Errorf("got %v, want b", k)
		}
		if k, ok := set.active("ES256", at(10)); !ok || k.ID != "c" {
			t.Errorf("got %v, want c from the very moment on", k)
		}
		if k, ok := set.active("EdDSA", at(5)); !ok || k.ID != "d" {
			t.Errorf("got %v, want d", k)
		}
		if _, ok := set.active("EdDSA", at(4)); ok {
			t.Error("a key signs before its time")
		}
		if _, ok := set.active("RS256", at(50)); ok {
			t.Error("got a key of another algorithm")
		}
	}
	for _, tt := range []struct {
		key  SigningKey
		now  time.Time
		want string
	}{{a, at(5), "replaced"}, {b, at(5), "active"}, {later, at(5), "published"}, {ed, at(5), "active"}, {b, at(10), "replaced"}, {later, at(10), "active"}} {
		if got := tt.key.KeyState([]SigningKey{a, b, later, ed}, tt.now); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.key.ID, got, tt.want)
		}
	}
}
