package auth_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/matryer/is"
	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/auth"
)

const canary = "canary-4711"

// holder has its secrets where careless code puts them.
type holder struct {
	Public  auth.Secret
	Pointer *auth.Secret
	private auth.Secret
	Map     map[string]auth.Secret
	Any     any
}

func newHolder() holder {
	s := auth.NewSecret(canary)
	return holder{s, &s, s, map[string]auth.Secret{"k": s}, s}
}

func TestSecretIsNeverFormatted(t *testing.T) {
	s := auth.NewSecret(canary)
	for verb := range 128 {
		for _, flags := range []string{"", "+", "#", "-20", " ", "0"} {
			format := "%" + flags + string(rune(verb))
			for _, value := range []any{s, &s, newHolder(), []auth.Secret{s}, fmt.Errorf("wrapped: %v", s)} {
				refuse(t, format, fmt.Sprintf(format, value))
			}
		}
	}
	is.New(t).Equal(fmt.Sprintf("%s %q %v %#v %x", s, s, s, s, s), "[redacted] [redacted] [redacted] [redacted] [redacted]")
	is.New(t).Equal(s.String()+s.GoString(), "[redacted][redacted]")
}

func TestSecretIsNeverEncoded(t *testing.T) {
	h := newHolder()
	encoded, err := json.Marshal(h)
	is.New(t).NoErr(err)
	refuse(t, "encoding/json", string(encoded))
	encoded, err = jsonv2.Marshal(h)
	is.New(t).NoErr(err)
	refuse(t, "json v2", string(encoded))
	encoded, err = xml.Marshal(h.Public)
	is.New(t).NoErr(err)
	refuse(t, "xml", string(encoded))
}

func TestSecretIsNeverLogged(t *testing.T) {
	h := newHolder()
	var out bytes.Buffer
	logger := zerolog.New(&out)
	logger.Info().Interface("a", h).Any("b", h.Public).Stringer("c", h.Public).
		Fields(map[string]any{"d": h.Public}).Err(fmt.Errorf("e: %w", errors.New(h.Public.String()))).
		Msgf("%v %+v", h, h.Public)
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "a", h, "b", h.Public)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "a", h, "b", h.Public)
	refuse(t, "loggers", out.String())
	is.New(t).True(strings.Contains(out.String(), "[redacted]"))
}

func TestSecretRevealsItsText(t *testing.T) {
	is := is.New(t)
	is.Equal(auth.NewSecret(canary).Reveal(), canary)
	is.True(!auth.NewSecret(canary).IsZero())
	is.Equal(auth.Secret{}.Reveal(), "")
	is.True(auth.NewSecret("").IsZero())
}

// refuse fails if the text holds the canary, as it is or as fmt shows bytes.
func refuse(t *testing.T, how, text string) {
	t.Helper()
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%d", []byte(canary))} {
		if strings.Contains(text, form) {
			t.Fatalf("%s shows the secret: %s", how, text)
		}
	}
}
