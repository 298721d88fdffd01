package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orchard9/rdev/rdev"
)

const (
	// maxBody is the largest body of a request in bytes.
	maxBody = 1 << 20
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = 30 * time.Second
)

func (x *exchange) hasBody() bool { return x.r.ContentLength != 0 }

// refuseBody refuses a body where there is to be none: what follows the
// headers of such a request may be meant as another request by somebody.
func (x *exchange) refuseBody() error {
	if x.route.body == bodyNone && x.hasBody() {
		return invalid("body", "is not wanted here")
	}
	return nil
}

// decode reads the body into a struct. It takes one JSON object with the
// fields of the struct, spelled as they are, each once.
func (x *exchange) decode(into any) error {
	if !x.hasBody() && x.route.body == bodyOptional {
		return nil
	}
	if err := checkContentType(x.r.Header); err != nil {
		return err
	}
	body, err := x.readBody()
	if err != nil {
		return err
	}
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		return invalid("body", "is not a JSON object")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return decodeError(err)
	}
	return refuseNull(body)
}

// refuseNull refuses a field that is null in valid JSON: the decoder takes it for
// the zero value, and what the caller meant by it cannot be known.
func refuseNull(body []byte) error {
	for tokens := jsontext.NewDecoder(bytes.NewReader(body)); ; {
		token, err := tokens.ReadToken()
		if err != nil {
			return nil // its end: all of it was decoded before
		}
		if token.Kind() == 'n' {
			return invalid(fieldName(tokens.StackPointer()), "is null: leave it out")
		}
	}
}

func checkContentType(h http.Header) error {
	types := h.Values("Content-Type")
	if len(types) == 1 && h.Get("Content-Encoding") == "" {
		media, params, err := mime.ParseMediaType(types[0])
		charset, with := params["charset"]
		if err == nil && media == "application/json" && (!with || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &apiError{code: rdev.CodeUnsupportedMedia, message: "the body must be application/json, not compressed"}
}

func (x *exchange) readBody() ([]byte, error) {
	deadlines := http.NewResponseController(x.ResponseWriter)
	// A ResponseWriter without deadlines has none that could be missed.
	_ = deadlines.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, x.r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, invalid("body", fmt.Sprintf("has more than %d bytes", maxBody))
	case err != nil:
		return nil, invalid("body", "could not be read to its end")
	}
	_ = deadlines.SetReadDeadline(time.Time{})
	x.bodyRead = true
	return body, nil
}

// decodeError says which field is wrong, and how. It repeats no value: that
// may be a secret.
func decodeError(err error) error {
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
		return invalid(fieldName(syntactic.JSONPointer), "is there twice")
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic):
		return invalid(fieldName(semantic.JSONPointer), "is not a field of this request")
	case errors.As(err, &semantic):
		return invalid(fieldName(semantic.JSONPointer), semanticProblem(semantic))
	case errors.As(err, &syntactic):
		return invalid(fieldName(syntactic.JSONPointer), fmt.Sprintf("is not valid JSON at byte %d: %v", syntactic.ByteOffset, syntaxProblem(syntactic)))
	}
	return invalid("body", "is not valid JSON")
}

// syntaxProblem returns what is wrong without the piece of the body that the
// decoder's own text may show.
func syntaxProblem(e *jsontext.SyntacticError) string {
	if errors.Is(e, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	text, _, _ := strings.Cut(e.Err.Error(), " (")
	if strings.Contains(text, "UTF-8") {
		return "it holds invalid UTF-8"
	}
	return "it holds something that does not belong there"
}

func semanticProblem(e *json.SemanticError) string {
	var own *durationError
	if errors.As(e, &own) {
		return own.Error()
	}
	return fmt.Sprintf("is %s, want %s", jsonKind(e.JSONKind), goKind(e.GoType))
}

func jsonKind(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a truth value"
	case '"':
		return "a string that does not fit"
	case '0':
		return "a number that does not fit"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "something else"
}

func goKind(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "a truth value"
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return "a time such as 2026-01-02T15:04:05Z"
		}
	}
	return "an object"
}

// fieldName returns a JSON pointer in the way that the API names fields:
// "argv[2]", "env.PATH".
func fieldName(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.ParseUint(token, 10, 31); err == nil && b.Len() > 0 {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	if b.Len() == 0 {
		return "body"
	}
	return clip(b.String())
}

// clip bounds what is repeated of a request.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
