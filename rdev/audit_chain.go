package rdev

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// An AuditHash is a SHA-256. Its text is hexadecimal.
type AuditHash [sha256.Size]byte

// String returns the hash in hexadecimal.
func (h AuditHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hash in hexadecimal.
func (h AuditHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a hash from hexadecimal in lower case.
func (h *AuditHash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) || strings.ToLower(string(text)) != string(text) {
		return errors.New("rdev: not a SHA-256 in lower-case hexadecimal")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// An AuditRecord is a row as stores keep it. Project and KeyID repeat what is in
// Body, for queries.
//
// Hash is the SHA-256 of Prev, of Seq and the time in microseconds since 1970
// (each eight bytes, big-endian), and of Body. Prev of the first row is zero.
type AuditRecord struct {
	Seq     uint64
	Micros  int64 // the time
	Project string
	KeyID   string
	Body    []byte // the entry, of EncodeAudit
	Prev    AuditHash
	Hash    AuditHash
}

// EncodeAudit returns the beginnings of an entry's record: Project, KeyID, and
// Body, which is JSON with the fields in the order of the struct. Text that is no
// UTF-8 is replaced.
func EncodeAudit(e AuditEntry) (AuditRecord, error) {
	e = e.valid()
	body, err := json.Marshal(e)
	if err != nil {
		return AuditRecord{}, fmt.Errorf("rdev: encode audit entry: %w", err)
	}
	return AuditRecord{Project: e.Project, KeyID: e.KeyID, Body: body}, nil
}

// After returns the record as the one behind another.
func (r AuditRecord) After(last AuditRecord, micros int64) AuditRecord {
	r.Seq, r.Micros, r.Prev = last.Seq+1, max(last.Micros, micros), last.Hash
	r.Hash = r.Sum()
	return r
}

// valid replaces what is no UTF-8, so that decoding and encoding again gives
// the same bytes, and zero bytes, which are no text to every store.
func (e AuditEntry) valid() AuditEntry {
	for _, text := range []*string{&e.KeyID, &e.KeyName, &e.Addr, &e.RequestID, &e.Project, &e.CommandID, &e.Dir, &e.Reason, &e.Action} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\uFFFD"), "\x00", "\uFFFD")
	}
	e.Argv, e.Env = validAll(e.Argv), validAll(e.Env)
	if e.Key != nil {
		key := *e.Key
		key.ID, key.Name = strings.ToValidUTF8(key.ID, "\uFFFD"), strings.ToValidUTF8(key.Name, "\uFFFD")
		key.ExpiresAt = key.ExpiresAt.UTC().Truncate(time.Microsecond)
		key.ReplacedUntil = key.ReplacedUntil.UTC().Truncate(time.Microsecond)
		e.Key = &key
	}
	return e
}

func validAll(texts []string) []string {
	valid := make([]string, len(texts))
	for i, text := range texts {
		valid[i] = strings.ToValidUTF8(text, "\uFFFD")
	}
	return valid
}

// Sum returns the hash that the record must have.
func (r AuditRecord) Sum() AuditHash {
	h := sha256.New()
	h.Write(r.Prev[:])
	_ = binary.Write(h, binary.BigEndian, [2]uint64{r.Seq, uint64(r.Micros)})
	h.Write(r.Body)
	return AuditHash(h.Sum(nil))
}

// Row returns the record as a row. A damaged one is a row too, of which a
// verification says what is wrong.
func (r AuditRecord) Row() AuditRow {
	row := AuditRow{Seq: r.Seq, Time: time.UnixMicro(r.Micros).UTC(), Prev: r.Prev, Hash: r.Hash, record: r}
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&row.AuditEntry); err != nil {
		row.AuditEntry = AuditEntry{Event: AuditUnreadable}
		row.damage = "its body cannot be decoded"
		return row
	}
	switch {
	case r.Sum() != r.Hash:
		row.damage = "its content does not have its hash"
	case row.Project != r.Project || row.KeyID != r.KeyID:
		row.damage = "a column differs from its body"
	}
	return row
}

// ParseAuditRow reads a line as an export has it. Its form must be exactly that
// of an export, so that nobody can be shown something else than what was
// verified.
func ParseAuditRow(line []byte) (AuditRow, error) {
	var row AuditRow
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&row); err != nil {
		return AuditRow{}, fmt.Errorf("rdev: not a row of an audit log: %w", err)
	}
	again, err := json.Marshal(row)
	if err != nil {
		return AuditRow{}, fmt.Errorf("rdev: encode audit row: %w", err)
	}
	record, err := EncodeAudit(row.AuditEntry)
	if err != nil {
		return AuditRow{}, err
	}
	record.Seq, record.Micros, record.Prev, record.Hash = row.Seq, row.Time.UnixMicro(), row.Prev, row.Hash
	read := record.Row()
	if !bytes.Equal(again, bytes.TrimSpace(line)) && read.damage == "" {
		read.damage = "it is not written as an export writes it"
	}
	return read, nil
}

// AuditArgvDigest returns the SHA-256 of an argv in hexadecimal: of its elements,
// each followed by a zero byte.
func AuditArgvDigest(argv []string) string {
	h := sha256.New()
	for _, arg := range argv {
		h.Write([]byte(arg))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
