package auth_test

import (
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

// alphabet is written out, so that a change of the format breaks a test.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// The vectors were computed by another program, in another language.
func TestGoldenKeys(t *testing.T) {
	for _, test := range []struct{ id, secret, key string }{
		{"000000000000", "0000000000000000000000000000000000000000000", "rdev_sk_000000000000_000000000000000000000000000000000000000000019m0UO"},
		{"zzzzzzzzzzzz", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "rdev_sk_zzzzzzzzzzzz_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz2yz3Ai"},
		{"4fQ0aB7xYz12", "The0quick1brown2fox3jumps4over5the6lazy7dog", "rdev_sk_4fQ0aB7xYz12_The0quick1brown2fox3jumps4over5the6lazy7dog353nc8"},
		{"AbCdEfGhIjKl", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg", "rdev_sk_AbCdEfGhIjKl_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg4E0CwA"},
	} {
		t.Run(test.id, func(t *testing.T) {
			is := is.New(t)
			is.Equal(auth.FormatKey(test.id, auth.NewSecret(test.secret)).Reveal(), test.key)
			id, secret, err := auth.ParseKey(test.key)
			is.NoErr(err)
			is.Equal(id, test.id)
			is.Equal(secret.Reveal(), test.secret)
		})
	}
}

func TestParseKeyRefusesWhatIsNotAKey(t *testing.T) {
	id, secret := auth.NewKey()
	good := auth.FormatKey(id, secret).Reveal()
	for name, text := range map[string]string{
		"Empty":            "",
		"OneShort":         good[:len(good)-1],
		"OneLong":          good + "0",
		"SpaceBefore":      " " + good[:len(good)-1],
		"NewlineAfter":     good[:len(good)-1] + "\n",
		"OtherPrefix":      "rdev_pk_" + good[8:],
		"UpperCasePrefix":  "RDEV_SK_" + good[8:],
		"NoUnderscore":     good[:20] + "0" + good[21:],
		"NotBase62InID":    auth.FormatKey("00000000000-", secret).Reveal(),
		"NotBase62":        auth.FormatKey(id, auth.NewSecret(strings.Repeat("é", 21)+"0")).Reveal(),
		"UnderscoreInside": auth.FormatKey(id, auth.NewSecret(strings.Repeat("_", 43))).Reveal(),
		"SecretMissing":    auth.FormatKey(id, auth.Secret{}).Reveal(),
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			gotID, gotSecret, err := auth.ParseKey(text)
			is.Equal(err, auth.ErrMalformedKey)
			is.Equal(gotID, "")
			is.True(gotSecret.IsZero())
		})
	}
}

func TestParseKeyRefusesEveryFlippedCharacter(t *testing.T) {
	is := is.New(t)
	id, secret := auth.NewKey()
	good := auth.FormatKey(id, secret).Reveal()
	for i := range len(good) {
		for c := range 256 {
			if good[i] == byte(c) {
				continue
			}
			_, _, err := auth.ParseKey(good[:i] + string([]byte{byte(c)}) + good[i+1:])
			is.Equal(err, auth.ErrMalformedKey) // one character of the key was changed
		}
	}
}

func TestKeysAreUniformAndUnique(t *testing.T) {
	is := is.New(t)
	const keys = 20_000
	var counts [256]int
	seen := make(map[string]bool, keys)
	characters := 0
	for range keys {
		id, secret := auth.NewKey()
		is.Equal(len(id), 12)
		is.Equal(len(secret.Reveal()), 43)
		seen[id] = true
		for _, c := range []byte(id + secret.Reveal()) {
			counts[c]++
			characters++
		}
	}
	is.Equal(len(seen), keys)
	expected := float64(characters) / float64(len(alphabet))
	chi := 0.0
	for _, c := range []byte(alphabet) {
		difference := float64(counts[c]) - expected
		chi += difference * difference / expected
		characters -= counts[c]
	}
	is.Equal(characters, 0) // every character is of the alphabet
	// 61 degrees of freedom: a fair generator is above this once in 10^9 runs;
	// taking bytes modulo 62 gives about 10,000.
	is.True(chi < 150)
}

func FuzzParseKey(f *testing.F) {
	id, secret := auth.NewKey()
	f.Add(auth.FormatKey(id, secret).Reveal())
	f.Add("")
	f.Add("rdev_sk_")
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, err := auth.ParseKey(text)
		if err != nil {
			if err != auth.ErrMalformedKey {
				t.Fatalf("%q: %v, want ErrMalformedKey as it is: it repeats nothing of the text", text, err)
			}
			return
		}
		if again := auth.FormatKey(id, secret).Reveal(); again != text {
			t.Fatalf("%q was parsed, and formatted as %q", text, again)
		}
	})
}
