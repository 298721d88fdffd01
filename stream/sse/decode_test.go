package sse_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream/sse"
)

// TestDecoderRules are the rules that the web platform tests hold browsers to
// (eventsource/format-*.any.js of wpt), their streams included.
func TestDecoderRules(t *testing.T) {
	message := func(data ...string) []dispatched {
		var all []dispatched
		for _, d := range data {
			all = append(all, dispatched{Name: "message", Data: d})
		}
		return all
	}
	long := strings.Repeat("x", 2*1024)
	for _, test := range []struct {
		name, stream string
		want         outcome
		err          error
	}{
		{"Bom", "\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", outcome{Events: message("1", "3")}, io.EOF},
		{"BomTwice", "\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", outcome{Events: message("2", "3")}, io.EOF},
		{"BomAlone", "\ufeff", outcome{}, io.EOF},
		{"Comments", "data:1\r:\x00\n:\r\ndata:2\n:" + long + "\rdata:3\n:data:fail\r:" + long + "\ndata:4\n\n", outcome{Events: message("1\n2\n3\n4")}, io.EOF},
		{"CommentsAlone", ": a\n:b\n\n:c\n", outcome{}, io.EOF},
		{"DataBeforeFinalEmptyLine", "retry:1000\ndata:test1\n\nid:test\ndata:test2", outcome{Events: message("test1"), Retry: time.Second, Set: true}, io.ErrUnexpectedEOF},
		{"FieldData", "data:\n\ndata\ndata\n\ndata:test\n\n", outcome{Events: message("", "\n", "test")}, io.EOF},
		{"FieldEvent", "event:test\ndata:x\n\ndata:x\n\n", outcome{Events: []dispatched{{"", "test", "x"}, {"", "message", "x"}}}, io.EOF},
		{"FieldEventEmpty", "event: \ndata:data\n\n", outcome{Events: message("data")}, io.EOF},
		{"FieldEventWithoutData", "event: test\n\ndata: x\n\n", outcome{Events: message("x")}, io.EOF},
		{"FieldId", "id: …\ndata:1\n\n", outcome{Events: []dispatched{{"…", "message", "1"}}, LastID: "…"}, io.EOF},
		{"FieldIdStays", "id: 7\ndata:1\n\ndata:2\n\n", outcome{Events: []dispatched{{"7", "message", "1"}, {"7", "message", "2"}}, LastID: "7"}, io.EOF},
		{"FieldIdWithoutDataIsPrimed", "id: cmd:0\n\n", outcome{LastID: "cmd:0"}, io.EOF},
		{"FieldIdEmptyResets", "id:1\ndata:1\n\nid\ndata:2\n\n", outcome{Events: []dispatched{{"1", "message", "1"}, {"", "message", "2"}}}, io.EOF},
		{"FieldIdNull", "id:1\ndata:1\n\nid:2\x003\ndata:2\n\n", outcome{Events: []dispatched{{"1", "message", "1"}, {"1", "message", "2"}}, LastID: "1"}, io.EOF},
		{"FieldIdOfACutEventIsNotRecorded", "id:1\ndata:1\n\nid:2\ndata:2\n", outcome{Events: []dispatched{{"1", "message", "1"}}, LastID: "1"}, io.ErrUnexpectedEOF},
		{"FieldIdCutWithoutData", "id:1\n\nid:2\n", outcome{LastID: "1"}, io.ErrUnexpectedEOF},
		{"FieldParsing", "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n", outcome{Events: message("\x00\n 2\n1\n3\n\n4")}, io.EOF},
		{"FieldRetry", "retry:03000\ndata:x\n\n", outcome{Events: message("x"), Retry: 3 * time.Second, Set: true}, io.EOF},
		{"FieldRetryBogus", "retry:3000\nretry:1000x\nretry:-1\nretry:+1\nretry: \nretry\nretry:1.5\nretry:１\ndata:x\n\n", outcome{Events: message("x"), Retry: 3 * time.Second, Set: true}, io.EOF},
		{"FieldRetryEmpty", "retry\ndata:test\n\n", outcome{Events: message("test")}, io.EOF},
		{"FieldRetryCountsWithoutAnEvent", "retry: 12\n", outcome{Retry: 12 * time.Millisecond, Set: true}, io.ErrUnexpectedEOF},
		{"FieldRetryHuge", "retry: 99999999999999999999999999\n\n", outcome{Retry: 922337203685 * time.Millisecond, Set: true}, io.EOF},
		{"FieldUnknown", "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n", outcome{Events: message("test\n\ntest")}, io.EOF},
		{"LeadingSpace", "data:\ttest\rdata: \ndata:test\n\n", outcome{Events: message("\ttest\n\ntest")}, io.EOF},
		{"Newlines", "data:test\r\ndata\ndata:test\r\n\r", outcome{Events: message("test\n\ntest")}, io.EOF},
		{"NewlinesCR", "data:1\r\rdata:2\r\r\rdata:3\r\r", outcome{Events: message("1", "2", "3")}, io.EOF},
		{"NewlinesCRLF", "data:1\r\n\r\ndata:2\r\n\r\n", outcome{Events: message("1", "2")}, io.EOF},
		{"NullCharacter", "data:\x00\n\n\n\n", outcome{Events: message("\x00")}, io.EOF},
		{"RawCRInAPayloadEndsItsLine", "data: 10%\r20%\n\n", outcome{Events: message("10%")}, io.EOF},
		{"Utf8", "data:ok…\n\n", outcome{Events: message("ok…")}, io.EOF},
		{"BytesAreKept", "data:\xff\xfe\n\n", outcome{Events: message("\xff\xfe")}, io.EOF},
		{"OnlyOneSpaceIsStripped", "data:   x\n\n", outcome{Events: message("  x")}, io.EOF},
		{"Empty", "", outcome{}, io.EOF},
		{"CutInALine", "data: x\n\nda", outcome{Events: message("x")}, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			is := is.New(t)
			for _, r := range []io.Reader{
				strings.NewReader(test.stream),
				iotest.OneByteReader(strings.NewReader(test.stream)),
				iotest.DataErrReader(strings.NewReader(test.stream)),
			} {
				got, err := decode(r, nil)
				is.Equal(got, test.want)
				is.Equal(err, test.err)
			}
			is.Equal(reference(test.stream), test.want) // the fuzz tests rely on it
		})
	}
}

// Lines longer than the Decoder's buffer, ending wherever a read may end.
func TestDecoderLongLines(t *testing.T) {
	is := is.New(t)
	for size := 16<<10 - 40; size < 16<<10+10; size++ {
		line := strings.Repeat("x", size)
		stream := "id: 1\r\ndata:" + line + "\r\n\r\ndata:" + line + "\r\rdata:" + line + line + line + "\n\n"
		for _, cuts := range [][]byte{nil, {255, 1, 77}} {
			got, err := decode(&cutter{stream: stream, cuts: cuts}, nil)
			is.Equal(err, io.EOF)
			is.True(reflect.DeepEqual(got, reference(stream)))
		}
	}
}

// TestDecoderOfMuch reads more than it asks for at once, with ends of lines of each
// kind by turns.
func TestDecoderOfMuch(t *testing.T) {
	is := is.New(t)
	var all strings.Builder
	const events = 2000
	data := func(n int) string { return strings.Repeat(fmt.Sprint(n, " "), n%700) + "." }
	for n := range events {
		end := []string{"\n", "\r\n", "\r"}[n/250%3]
		fmt.Fprint(&all, "id: s:", n, end, "data: ", data(n), end, "data: second", end, end)
	}
	d := sse.NewDecoder(strings.NewReader(all.String()), nil)
	for n := range events {
		got, err := d.Next()
		is.NoErr(err)
		is.Equal(got.ID, fmt.Sprint("s:", n))
		is.Equal(string(got.Data), data(n)+"\nsecond")
	}
	_, err := d.Next()
	is.Equal(err, io.EOF)
}

func TestDecoderDoesNotWaitForMoreThanTheBlankLine(t *testing.T) {
	for name, stream := range map[string]string{"LF": "data:1\n\n", "CR": "data:1\r\r", "CRLF": "data:1\r\n\r\n", "CRThenLF": "data:1\r\n\r"} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			in, out := io.Pipe()
			defer in.Close()
			go func() {
				_, _ = io.WriteString(out, stream) // and never more
			}()
			event, err := sse.NewDecoder(in, nil).Next()
			is.NoErr(err)
			is.Equal(string(event.Data), "1")
		})
	}
}

func TestDecoderLimit(t *testing.T) {
	t.Run("AnEventOfExactlyThatSizeIsTaken", func(t *testing.T) {
		is := is.New(t)
		line := strings.Repeat("x", 100)
		got, err := decode(strings.NewReader("data:"+line+"\n\n"), &sse.DecoderOptions{MaxEventBytes: 105})
		is.Equal(err, io.EOF)
		is.Equal(len(got.Events), 1)
		_, err = decode(strings.NewReader("data:"+line+"\n\n"), &sse.DecoderOptions{MaxEventBytes: 104})
		is.True(errors.Is(err, sse.ErrEventTooLarge))
		is.True(strings.Contains(err.Error(), "105 bytes")) // the size is told
	})
	t.Run("ManyLinesCountTogether", func(t *testing.T) {
		is := is.New(t)
		_, err := decode(strings.NewReader(strings.Repeat("data:0123456789\n", 100)), &sse.DecoderOptions{MaxEventBytes: 1000})
		is.True(errors.Is(err, sse.ErrEventTooLarge))
	})
	t.Run("ALineWithoutAnEndIsNotHeldInMemory", func(t *testing.T) {
		is := is.New(t)
		r := &endless{}
		_, err := decode(r, &sse.DecoderOptions{MaxEventBytes: 1 << 20})
		is.True(errors.Is(err, sse.ErrEventTooLarge))
		is.True(r.n < 2<<20)
	})
	t.Run("AStreamOfCommentsIsNoEvent", func(t *testing.T) {
		is := is.New(t)
		got, err := decode(strings.NewReader(strings.Repeat(": still here\n", 10_000)+"data:x\n\n"), &sse.DecoderOptions{MaxEventBytes: 100})
		is.Equal(err, io.EOF)
		is.Equal(len(got.Events), 1)
	})
	t.Run("ALineOfTenMebibytesArrives", func(t *testing.T) {
		is := is.New(t)
		line := strings.Repeat("x", 10<<20)
		got, err := decode(strings.NewReader("data: "+line+"\n\ndata: after\n\n"), nil)
		is.Equal(err, io.EOF)
		is.Equal(len(got.Events), 2)
		is.True(got.Events[0].Data == line)
		is.Equal(got.Events[1].Data, "after")
	})
	t.Run("TheErrorStays", func(t *testing.T) {
		is := is.New(t)
		d := sse.NewDecoder(strings.NewReader("id:1\ndata:too long\n\ndata:x\n\n"), &sse.DecoderOptions{MaxEventBytes: 10})
		for range 3 {
			_, err := d.Next()
			is.True(errors.Is(err, sse.ErrEventTooLarge))
			is.Equal(d.LastEventID(), "")
		}
	})
}

type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.n += len(p)
	return len(p), nil
}

func TestDecoderTellsTheReadersError(t *testing.T) {
	is := is.New(t)
	cut := errors.New("connection reset")
	d := sse.NewDecoder(io.MultiReader(strings.NewReader("id:1\ndata:x\n\nid:2\ndata:"), iotest.ErrReader(cut)), nil)
	event, err := d.Next()
	is.NoErr(err)
	is.Equal(string(event.Data), "x")
	for range 2 {
		_, err = d.Next()
		is.Equal(err, cut)
		is.Equal(d.LastEventID(), "1")
	}
	_, err = sse.NewDecoder(empty{}, nil).Next()
	is.Equal(err, io.ErrNoProgress)
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, nil }
