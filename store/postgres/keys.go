package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/orchard9/rdev/auth"
)

// KeyStore is the auth.KeyStore of a Store.
type KeyStore struct {
	db *sqlx.DB
	// byID is the query of Get, which every request makes: parsed and planned
	// once a connection. Nil behind a pooler, which cannot keep it.
	byID *sqlx.Stmt
}

const keyColumns = `id, name, hash, scopes, projects, created_at, created_by, expires_at, revoked_at, last_used_at, replaced_by`

const selectKey = `SELECT ` + keyColumns + ` FROM keys WHERE id = $1 `

type keyRow struct {
	ID         string         `db:"id"`
	Name       string         `db:"name"`
	Hash       []byte         `db:"hash"`
	Scopes     pq.StringArray `db:"scopes"`
	Projects   pq.StringArray `db:"projects"`
	CreatedAt  time.Time      `db:"created_at"`
	CreatedBy  string         `db:"created_by"`
	ExpiresAt  sql.NullTime   `db:"expires_at"`
	RevokedAt  sql.NullTime   `db:"revoked_at"`
	LastUsedAt sql.NullTime   `db:"last_used_at"`
	ReplacedBy sql.NullString `db:"replaced_by"`
}

// Create implements auth.KeyStore.
func (k *KeyStore) Create(ctx context.Context, key auth.Key, replaces *auth.Replacement) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return inTx(ctx, k.db, "create key", func(tx *sqlx.Tx) error {
		if replaces != nil {
			old, err := getKey(ctx, tx, replaces.ID, "FOR UPDATE")
			if err != nil {
				return err
			}
			if old, err = auth.ReplaceKey(old, key.ID, replaces.Until); err != nil {
				return err
			}
			if err := updateKey(ctx, tx, old); err != nil {
				return err
			}
		}
		r := rowOfKey(key)
		_, err := tx.NamedExecContext(ctx, `INSERT INTO keys (`+keyColumns+`) VALUES (:id, :name, :hash, :scopes, :projects,
			:created_at, :created_by, :expires_at, :revoked_at, :last_used_at, :replaced_by)`, r)
		if isCode(err, "23505") { // unique_violation
			return auth.ErrKeyExists
		}
		return err
	})
}

// Get implements auth.KeyStore.
func (k *KeyStore) Get(ctx context.Context, id string) (auth.Key, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	if k.byID == nil {
		key, err := getKey(ctx, k.db, id, "")
		return key, failed(ctx, "get key", err)
	}
	var row keyRow
	err := k.byID.GetContext(ctx, &row, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrKeyNotFound
	}
	if err != nil {
		return auth.Key{}, failed(ctx, "get key", err)
	}
	return row.key(), nil
}

// List implements auth.KeyStore.
func (k *KeyStore) List(ctx context.Context, before string, limit int) ([]auth.Key, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	where, args := "", []any{limit}
	if before != "" {
		last, err := getKey(ctx, k.db, before, "")
		if err != nil {
			return nil, failed(ctx, "list keys", err)
		}
		where, args = `WHERE (created_at, id COLLATE "C") < ($2, $3)`, append(args, last.CreatedAt, last.ID)
	}
	var rows []keyRow
	err := k.db.SelectContext(ctx, &rows, `SELECT `+keyColumns+` FROM keys `+where+
		` ORDER BY created_at DESC, id COLLATE "C" DESC LIMIT $1`, args...)
	keys := make([]auth.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys, failed(ctx, "list keys", err)
}

// Update implements auth.KeyStore.
func (k *KeyStore) Update(ctx context.Context, id string, change func(*auth.Key) error) (auth.Key, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var changed auth.Key
	var own error // change's, which is returned as it is
	err := inTx(ctx, k.db, "update key", func(tx *sqlx.Tx) error {
		before, err := getKey(ctx, tx, id, "FOR UPDATE")
		if err != nil {
			return err
		}
		after, err := getKey(ctx, tx, id, "") // with slices of its own
		if err != nil {
			return err
		}
		if own = change(&after); own != nil {
			return own
		}
		changed = rowOfKey(auth.UpdateKey(before, after)).key()
		return updateKey(ctx, tx, changed)
	})
	if own != nil {
		return auth.Key{}, own
	}
	return changed, err
}

func getKey(ctx context.Context, db sqlx.QueryerContext, id, lock string) (auth.Key, error) {
	var r keyRow
	err := sqlx.GetContext(ctx, db, &r, selectKey+lock, id)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.Key{}, auth.ErrKeyNotFound
	}
	return r.key(), err
}

func updateKey(ctx context.Context, tx *sqlx.Tx, key auth.Key) error {
	_, err := tx.NamedExecContext(ctx, `UPDATE keys SET name = :name, scopes = :scopes, projects = :projects, created_by = :created_by,
		expires_at = :expires_at, revoked_at = :revoked_at, last_used_at = :last_used_at, replaced_by = :replaced_by
		WHERE id = :id`, rowOfKey(key))
	return err
}

func rowOfKey(k auth.Key) keyRow {
	r := keyRow{
		ID: k.ID, Name: k.Name, Hash: k.Hash, CreatedAt: micros(k.CreatedAt), CreatedBy: k.CreatedBy,
		Scopes: make(pq.StringArray, len(k.Scopes)), Projects: make(pq.StringArray, len(k.Projects)),
		ExpiresAt: nullTime(k.ExpiresAt), RevokedAt: nullTime(k.RevokedAt), LastUsedAt: nullTime(k.LastUsedAt),
		ReplacedBy: sql.NullString{String: k.ReplacedBy, Valid: k.ReplacedBy != ""},
	}
	for i, s := range k.Scopes {
		r.Scopes[i] = string(s)
	}
	for i, p := range k.Projects {
		r.Projects[i] = string(p)
	}
	return r
}

func (r keyRow) key() auth.Key {
	k := auth.Key{
		ID: r.ID, Name: r.Name, Hash: r.Hash, CreatedAt: r.CreatedAt.UTC(), CreatedBy: r.CreatedBy,
		ExpiresAt: timeOf(r.ExpiresAt), RevokedAt: timeOf(r.RevokedAt), LastUsedAt: timeOf(r.LastUsedAt),
		ReplacedBy: r.ReplacedBy.String,
	}
	for _, s := range r.Scopes {
		k.Scopes = append(k.Scopes, auth.Scope(s))
	}
	for _, p := range r.Projects {
		k.Projects = append(k.Projects, auth.Pattern(p))
	}
	return k
}
