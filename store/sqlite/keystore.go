package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/auth"
)

// KeyStore is an auth.KeyStore. Get one from Store.Keys.
type KeyStore struct {
	db *db
}

var _ auth.KeyStore = (*KeyStore)(nil)

const (
	keyColumns = `id, name, hash, scopes, projects, created_at, created_by, expires_at, revoked_at, last_used_at, replaced_by`

	selectKey = `SELECT ` + keyColumns + ` FROM keys WHERE id = ?`

	selectNewestKeys = `SELECT ` + keyColumns + ` FROM keys ORDER BY created_at DESC, id DESC LIMIT ?`

	selectKeysBefore = `SELECT ` + keyColumns + ` FROM keys WHERE (created_at, id) < (?, ?)
		ORDER BY created_at DESC, id DESC LIMIT ?`

	insertKey = `INSERT INTO keys (` + keyColumns + `) VALUES (:id, :name, :hash, :scopes, :projects,
		:created_at, :created_by, :expires_at, :revoked_at, :last_used_at, :replaced_by) ON CONFLICT (id) DO NOTHING`

	updateKey = `UPDATE keys SET name = :name, scopes = :scopes, projects = :projects, created_by = :created_by,
		expires_at = :expires_at, revoked_at = :revoked_at, last_used_at = :last_used_at, replaced_by = :replaced_by
		WHERE id = :id`
)

// Create implements auth.KeyStore.
func (s *KeyStore) Create(ctx context.Context, key auth.Key, replaces *auth.Replacement) error {
	err := s.db.change(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := storeKey(ctx, tx, insertKey, key); err != nil {
			return err
		}
		if replaces == nil {
			return nil
		}
		old, err := loadKey(ctx, tx, replaces.ID)
		if err != nil {
			return fmt.Errorf("replace key %s: %w", replaces.ID, err)
		}
		old, err = auth.ReplaceKey(old, key.ID, replaces.Until)
		if err != nil {
			return fmt.Errorf("replace key %s: %w", replaces.ID, err)
		}
		return storeKey(ctx, tx, updateKey, old)
	})
	if err != nil {
		return fmt.Errorf("store/sqlite: create key %s: %w", key.ID, err)
	}
	return nil
}

// Get implements auth.KeyStore.
func (s *KeyStore) Get(ctx context.Context, id string) (auth.Key, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	key, err := loadKey(ctx, s.db.read, id)
	if err != nil {
		return auth.Key{}, fmt.Errorf("store/sqlite: get key %s: %w", id, contextual(ctx, err))
	}
	return key, nil
}

// List implements auth.KeyStore.
func (s *KeyStore) List(ctx context.Context, before string, limit int) ([]auth.Key, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	keys, err := s.list(ctx, before, max(limit, 0)) // SQLite takes a negative limit for none
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: list keys: %w", contextual(ctx, err))
	}
	return keys, nil
}

func (s *KeyStore) list(ctx context.Context, before string, limit int) ([]auth.Key, error) {
	var rows []keyRow
	if before == "" {
		if err := s.db.read.SelectContext(ctx, &rows, selectNewestKeys, limit); err != nil {
			return nil, err
		}
	} else {
		cursor, err := loadKey(ctx, s.db.read, before)
		if err != nil {
			return nil, err
		}
		if err := s.db.read.SelectContext(ctx, &rows, selectKeysBefore, cursor.CreatedAt.UnixMicro(), cursor.ID, limit); err != nil {
			return nil, err
		}
	}
	keys := make([]auth.Key, len(rows))
	for i, row := range rows {
		var err error
		if keys[i], err = row.key(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Update implements auth.KeyStore. change must not use the Store.
func (s *KeyStore) Update(ctx context.Context, id string, change func(*auth.Key) error) (auth.Key, error) {
	var after auth.Key
	var refused error
	err := s.db.change(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		before, err := loadKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if after, err = loadKey(ctx, tx, id); err != nil { // another copy: change may write into slices
			return err
		}
		if refused = change(&after); refused != nil {
			return refused
		}
		if err := storeKey(ctx, tx, updateKey, auth.UpdateKey(before, after)); err != nil {
			return err
		}
		after, err = loadKey(ctx, tx, id)
		return err
	})
	if refused != nil {
		return auth.Key{}, refused
	}
	if err != nil {
		return auth.Key{}, fmt.Errorf("store/sqlite: update key %s: %w", id, err)
	}
	return after, nil
}

func loadKey(ctx context.Context, q sqlx.QueryerContext, id string) (auth.Key, error) {
	var row keyRow
	err := sqlx.GetContext(ctx, q, &row, selectKey, id)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.Key{}, auth.ErrKeyNotFound
	}
	if err != nil {
		return auth.Key{}, err
	}
	return row.key()
}

// storeKey runs insertKey or updateKey; an insert that changes nothing found
// the id taken.
func storeKey(ctx context.Context, tx *sqlx.Tx, statement string, key auth.Key) error {
	row, err := newKeyRow(key)
	if err != nil {
		return err
	}
	result, err := tx.NamedExecContext(ctx, statement, row)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, auth.ErrKeyExists)
	}
	return nil
}

// keyRow is an auth.Key as its table has it.
type keyRow struct {
	ID         string        `db:"id"`
	Name       string        `db:"name"`
	Hash       []byte        `db:"hash"`
	Scopes     string        `db:"scopes"`
	Projects   string        `db:"projects"`
	CreatedAt  int64         `db:"created_at"`
	CreatedBy  string        `db:"created_by"`
	ExpiresAt  sql.NullInt64 `db:"expires_at"`
	RevokedAt  sql.NullInt64 `db:"revoked_at"`
	LastUsedAt sql.NullInt64 `db:"last_used_at"`
	ReplacedBy string        `db:"replaced_by"`
}

func newKeyRow(k auth.Key) (keyRow, error) {
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return keyRow{}, err
	}
	projects, err := json.Marshal(k.Projects)
	if err != nil {
		return keyRow{}, err
	}
	return keyRow{
		ID: k.ID, Name: k.Name, Hash: append([]byte{}, k.Hash...),
		Scopes: string(scopes), Projects: string(projects),
		CreatedAt: k.CreatedAt.UnixMicro(), CreatedBy: k.CreatedBy,
		ExpiresAt: micros(k.ExpiresAt), RevokedAt: micros(k.RevokedAt), LastUsedAt: micros(k.LastUsedAt),
		ReplacedBy: k.ReplacedBy,
	}, nil
}

func (r keyRow) key() (auth.Key, error) {
	k := auth.Key{
		ID: r.ID, Name: r.Name, Hash: r.Hash,
		CreatedAt: fromMicros(sql.NullInt64{Int64: r.CreatedAt, Valid: true}), CreatedBy: r.CreatedBy,
		ExpiresAt: fromMicros(r.ExpiresAt), RevokedAt: fromMicros(r.RevokedAt), LastUsedAt: fromMicros(r.LastUsedAt),
		ReplacedBy: r.ReplacedBy,
	}
	if err := json.Unmarshal([]byte(r.Scopes), &k.Scopes); err != nil {
		return auth.Key{}, fmt.Errorf("scopes of key %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Projects), &k.Projects); err != nil {
		return auth.Key{}, fmt.Errorf("projects of key %s: %w", r.ID, err)
	}
	return k, nil
}
