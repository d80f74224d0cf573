package jws

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzParse(f *testing.F) {
	key := testKeys()[EdDSA]
	good, err := Sign(Header{Alg: EdDSA, Typ: "at+jwt", Kid: "k"}, []byte(`{"sub":"a"}`), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(b64(`{"alg":"none"}`) + "..")
	f.Add(b64(`{"alg":"ES256","x":[{"a":"\"}"}],"kid":"\u0041"}`) + ".e30.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		tok, err := Parse(token)
		if err != nil {
			return
		}
		// One spelling per token: what was read has to spell what was given.
		payload, signature := encoding.EncodeToString(tok.Payload), encoding.EncodeToString(tok.signature)
		if want := tok.signed + "." + signature; want != token || !bytes.HasSuffix([]byte(tok.signed), []byte("."+payload)) {
			t.Errorf("got %q for %q", want, token)
		}
		if tok.Verify(EdDSA, key.Public()) == nil && token != good {
			t.Errorf("a token that nobody signed verifies: %q", token)
		}
	})
}

// FuzzMembers holds our splitting of objects against encoding/json's.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { "a" : [1, {"b":"}\"\\"}] , "\u0062" : null , "c":"x" } `, `[1]`, `{"a":-1.5e3,"a":true}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := Members(data)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%q: we read it, encoding/json says %v", data, err)
		}
		if len(members) != len(want) {
			t.Errorf("%q: got %d members, want %d", data, len(members), len(want))
		}
		for _, m := range members {
			if !bytes.Equal(m.Value, want[m.Name]) {
				t.Errorf("%q: member %q: got %q, want %q", data, m.Name, m.Value, want[m.Name])
			}
		}
	})
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kid":"a",` + rfcEC + `},{"kid":"b","use":"sig","alg":"EdDSA",` + rfcED + `}]}`))
	f.Add([]byte(`{"keys":[{"kid":"c","kty":"RSA","e":"AQAB","key_ops":["verify"],"n":"` + rfcN + `"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseSet(data)
		if err != nil {
			return
		}
		// Whatever was taken is a key we can name, publish and read again.
		raw, err := MarshalSet(keys)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := ParseSet(raw)
		if err != nil || len(again) != len(keys) {
			t.Errorf("%q: got %d keys again, %v, want %d", data, len(again), err, len(keys))
		}
		tok := Token{Header: Header{Alg: ES256}, signed: "a.b", signature: make([]byte, 64)}
		for _, k := range keys {
			tok.Header.Alg = k.Algorithm
			_ = tok.Verify(k.Algorithm, k.Public) // must not panic
		}
	})
}
