package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/auth"
)

// KeyStore is an auth.KeyStore, with auth.KeyUses and auth.KeyChanges. Get one
// from Store.Keys.
type KeyStore struct {
	db      *db
	changes auth.Changes
}

var (
	_ auth.KeyStore   = (*KeyStore)(nil)
	_ auth.KeyUses    = (*KeyStore)(nil)
	_ auth.KeyChanges = (*KeyStore)(nil)
)

const (
	keyColumns = `id, name, hash, algorithm, scopes, projects, addresses, policy, created_at, created_by, expires_at, revoked_at, replaces, replaced_by`

	selectKeys = `SELECT ` + keyColumns + `, (SELECT last_used_at FROM key_usage WHERE key_id = keys.id) AS last_used_at FROM keys `

	selectKey = selectKeys + `WHERE id = ?`

	selectKeysByID = selectKeys + `WHERE id IN (SELECT value FROM json_each(?))`

	selectNewestKeys = selectKeys + `ORDER BY created_at DESC, id DESC LIMIT ?`

	selectKeysBefore = selectKeys + `WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`

	insertKey = `INSERT INTO keys (` + keyColumns + `) VALUES (:id, :name, :hash, :algorithm, :scopes, :projects, :addresses, :policy,
		:created_at, :created_by, :expires_at, :revoked_at, :replaces, :replaced_by) ON CONFLICT (id) DO NOTHING`

	updateKey = `UPDATE keys SET name = :name, hash = :hash, algorithm = :algorithm, scopes = :scopes, projects = :projects,
		addresses = :addresses, policy = :policy, created_by = :created_by, expires_at = :expires_at, revoked_at = :revoked_at, replaced_by = :replaced_by
		WHERE id = :id`

	// predecessorWorks goes back from a key over those that it replaced.
	predecessorWorks = `WITH RECURSIVE chain (id) AS (
			SELECT replaces FROM keys WHERE id = ?
			UNION SELECT k.replaces FROM keys k JOIN chain ON k.id = chain.id)
		SELECT EXISTS (SELECT 1 FROM keys JOIN chain ON keys.id = chain.id
			WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?))`

	noteUses = `INSERT INTO key_usage (key_id, last_used_at)
		SELECT used.key, used.value FROM json_each(?) AS used JOIN keys ON keys.id = used.key WHERE true
		ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at WHERE last_used_at < excluded.last_used_at`
)

// Create implements auth.KeyStore.
func (s *KeyStore) Create(ctx context.Context, key auth.Key, replaces *auth.Replacement) error {
	key = auth.NewKeyRecord(key, replaces)
	err := s.db.change(ctx, func(ctx context.Context, tx *session) error {
		if err := storeKey(ctx, tx, insertKey, key); err != nil {
			return err
		}
		if replaces == nil {
			return nil
		}
		if err := replaceKey(ctx, tx, key, replaces.Until); err != nil {
			return fmt.Errorf("replace key %s: %w", replaces.ID, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store/sqlite: create key %s: %w", key.ID, err)
	}
	if replaces != nil {
		s.changes.Tell(replaces.ID)
	}
	return nil
}

// replaceKey marks the predecessor of key.
func replaceKey(ctx context.Context, tx *session, key auth.Key, until time.Time) error {
	old, err := loadKey(ctx, tx, key.Replaces)
	if err != nil {
		return err
	}
	var working bool
	if err := tx.GetContext(ctx, &working, predecessorWorks, old.ID, key.CreatedAt.UnixMicro()); err != nil {
		return err
	}
	if old, err = auth.ReplaceKey(old, key, until, working); err != nil {
		return err
	}
	return storeKey(ctx, tx, updateKey, old)
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
	return keysOf(rows)
}

// GetAll implements auth.KeyChanges.
func (s *KeyStore) GetAll(ctx context.Context, ids []string) ([]auth.Key, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	list, err := json.Marshal(append([]string{}, ids...))
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: get keys: %w", err)
	}
	var rows []keyRow
	if err := s.db.read.SelectContext(ctx, &rows, selectKeysByID, string(list)); err != nil {
		return nil, fmt.Errorf("store/sqlite: get keys: %w", contextual(ctx, err))
	}
	keys, err := keysOf(rows)
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: get keys: %w", err)
	}
	return keys, nil
}

// OnChange implements auth.KeyChanges. Only this process changes the file.
func (s *KeyStore) OnChange(changed func(ids []string)) (stop func()) {
	return s.changes.OnChange(changed)
}

// Used implements auth.KeyUses.
func (s *KeyStore) Used(ctx context.Context, last map[string]time.Time) error {
	uses := make(map[string]int64, len(last))
	for id, at := range last {
		uses[id] = at.UnixMicro()
	}
	list, err := json.Marshal(uses)
	if err == nil {
		err = s.db.change(ctx, func(ctx context.Context, tx *session) error {
			_, err := tx.ExecContext(ctx, noteUses, string(list))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("store/sqlite: note the use of keys: %w", err)
	}
	return nil
}

// Update implements auth.KeyStore. change must not use the Store.
func (s *KeyStore) Update(ctx context.Context, id string, change func(*auth.Key) error) (auth.Key, error) {
	var after auth.Key
	var refused error
	err := s.db.change(ctx, func(ctx context.Context, tx *session) error {
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
	s.changes.Tell(id)
	return after, nil
}

// getter is a session, or a pool of connections that read.
type getter interface {
	GetContext(ctx context.Context, dest any, query string, args ...any) error
}

func loadKey(ctx context.Context, q getter, id string) (auth.Key, error) {
	var row keyRow
	err := q.GetContext(ctx, &row, selectKey, id)
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
func storeKey(ctx context.Context, tx *session, statement string, key auth.Key) error {
	row, err := newKeyRow(key)
	if err != nil {
		return err
	}
	statement, args, err := sqlx.Named(statement, row)
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, statement, args...)
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
	Algorithm  string        `db:"algorithm"`
	Scopes     string        `db:"scopes"`
	Projects   string        `db:"projects"`
	Addresses  string        `db:"addresses"`
	Policy     string        `db:"policy"`
	CreatedAt  int64         `db:"created_at"`
	CreatedBy  string        `db:"created_by"`
	ExpiresAt  sql.NullInt64 `db:"expires_at"`
	RevokedAt  sql.NullInt64 `db:"revoked_at"`
	LastUsedAt sql.NullInt64 `db:"last_used_at"`
	Replaces   string        `db:"replaces"`
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
	addresses, err := json.Marshal(k.AllowedAddresses)
	if err != nil {
		return keyRow{}, err
	}
	return keyRow{
		ID: k.ID, Name: k.Name, Hash: append([]byte{}, k.Hash...), Algorithm: k.Algorithm, Policy: k.Policy,
		Scopes: string(scopes), Projects: string(projects), Addresses: string(addresses),
		CreatedAt: k.CreatedAt.UnixMicro(), CreatedBy: k.CreatedBy,
		ExpiresAt: micros(k.ExpiresAt), RevokedAt: micros(k.RevokedAt), LastUsedAt: micros(k.LastUsedAt),
		Replaces: k.Replaces, ReplacedBy: k.ReplacedBy,
	}, nil
}

func (r keyRow) key() (auth.Key, error) {
	k := auth.Key{
		ID: r.ID, Name: r.Name, Hash: r.Hash, Algorithm: r.Algorithm, Policy: r.Policy,
		CreatedAt: fromMicros(sql.NullInt64{Int64: r.CreatedAt, Valid: true}), CreatedBy: r.CreatedBy,
		ExpiresAt: fromMicros(r.ExpiresAt), RevokedAt: fromMicros(r.RevokedAt), LastUsedAt: fromMicros(r.LastUsedAt),
		Replaces: r.Replaces, ReplacedBy: r.ReplacedBy,
	}
	if err := json.Unmarshal([]byte(r.Scopes), &k.Scopes); err != nil {
		return auth.Key{}, fmt.Errorf("scopes of key %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Projects), &k.Projects); err != nil {
		return auth.Key{}, fmt.Errorf("projects of key %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Addresses), &k.AllowedAddresses); err != nil {
		return auth.Key{}, fmt.Errorf("addresses of key %s: %w", r.ID, err)
	}
	return k, nil
}

func keysOf(rows []keyRow) ([]auth.Key, error) {
	keys := make([]auth.Key, len(rows))
	for i, row := range rows {
		var err error
		if keys[i], err = row.key(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
