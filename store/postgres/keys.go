package postgres

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/orchard9/rdev/auth"
)

// KeyStore is the auth.KeyStore of a Store. It implements auth.KeyUses and
// auth.KeyChanges too.
type KeyStore struct {
	db *sqlx.DB
	// byID is the query of Get, which every request makes: parsed and planned
	// once a connection. Nil behind a pooler, which cannot keep it.
	byID    *sqlx.Stmt
	changes *auth.Changes
}

const (
	keyColumns = `id, name, hash, algorithm, scopes, projects, addresses, policy, created_at, created_by, expires_at, revoked_at, replaces, replaced_by`

	selectKeys = `SELECT ` + keyColumns + `, (SELECT last_used_at FROM key_usage WHERE key_id = keys.id) FROM keys `
	selectKey  = selectKeys + `WHERE id = $1 `

	insertKey = `INSERT INTO keys (` + keyColumns + `) VALUES (:id, :name, :hash, :algorithm, :scopes, :projects, :addresses, :policy,
		:created_at, :created_by, :expires_at, :revoked_at, :replaces, :replaced_by)`

	updateKeyRow = `UPDATE keys SET name = :name, hash = :hash, algorithm = :algorithm, scopes = :scopes, projects = :projects,
		addresses = :addresses, policy = :policy, created_by = :created_by, expires_at = :expires_at, revoked_at = :revoked_at, replaced_by = :replaced_by
		WHERE id = :id`

	// predecessorWorks goes back from a key over those that it replaced.
	predecessorWorks = `WITH RECURSIVE chain AS (
			SELECT replaces FROM keys WHERE id = $1
			UNION SELECT k.replaces FROM keys k JOIN chain ON k.id = chain.replaces)
		SELECT EXISTS (SELECT FROM keys JOIN chain ON id = chain.replaces
			WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2))`
)

type keyRow struct {
	ID         string         `db:"id"`
	Name       string         `db:"name"`
	Hash       []byte         `db:"hash"`
	Algorithm  string         `db:"algorithm"`
	Scopes     pq.StringArray `db:"scopes"`
	Projects   pq.StringArray `db:"projects"`
	Addresses  pq.StringArray `db:"addresses"`
	Policy     string         `db:"policy"`
	CreatedAt  time.Time      `db:"created_at"`
	CreatedBy  string         `db:"created_by"`
	ExpiresAt  sql.NullTime   `db:"expires_at"`
	RevokedAt  sql.NullTime   `db:"revoked_at"`
	LastUsedAt sql.NullTime   `db:"last_used_at"`
	Replaces   sql.NullString `db:"replaces"`
	ReplacedBy sql.NullString `db:"replaced_by"`
}

// Create implements auth.KeyStore.
func (k *KeyStore) Create(ctx context.Context, key auth.Key, replaces *auth.Replacement) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	key = auth.NewKeyRecord(key, replaces)
	err := inTx(ctx, k.db, "create key", func(tx *sqlx.Tx) error {
		if replaces != nil {
			if err := replaceKey(ctx, tx, key, replaces.Until); err != nil {
				return err
			}
		}
		_, err := tx.NamedExecContext(ctx, insertKey, rowOfKey(key))
		if isCode(err, "23505") { // unique_violation
			return auth.ErrKeyExists
		}
		return err
	})
	if err == nil && replaces != nil {
		k.changes.Tell(replaces.ID)
	}
	return err
}

// replaceKey marks the predecessor of key.
func replaceKey(ctx context.Context, tx *sqlx.Tx, key auth.Key, until time.Time) error {
	old, err := getKey(ctx, tx, key.Replaces, "FOR UPDATE")
	if err != nil {
		return err
	}
	var working bool
	if err := tx.GetContext(ctx, &working, predecessorWorks, old.ID, micros(key.CreatedAt)); err != nil {
		return err
	}
	if old, err = auth.ReplaceKey(old, key, until, working); err != nil {
		return err
	}
	return updateKey(ctx, tx, old)
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
	err := k.db.SelectContext(ctx, &rows, selectKeys+where+
		` ORDER BY created_at DESC, id COLLATE "C" DESC LIMIT $1`, args...)
	return keysOf(rows), failed(ctx, "list keys", err)
}

// GetAll implements auth.KeyChanges.
func (k *KeyStore) GetAll(ctx context.Context, ids []string) ([]auth.Key, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var rows []keyRow
	err := k.db.SelectContext(ctx, &rows, selectKeys+`WHERE id = ANY($1)`, pq.Array(ids))
	return keysOf(rows), failed(ctx, "get keys", err)
}

// OnChange implements auth.KeyChanges. What other replicas change is heard by
// NOTIFY.
func (k *KeyStore) OnChange(changed func(ids []string)) (stop func()) {
	return k.changes.OnChange(changed)
}

// Used implements auth.KeyUses. The rows are taken in the order of their ids,
// so that replicas that write at once do not wait for each other in a circle.
func (k *KeyStore) Used(ctx context.Context, last map[string]time.Time) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	ids := slices.Sorted(maps.Keys(last))
	times := make([]string, len(ids))
	for i, id := range ids {
		times[i] = micros(last[id]).Format(time.RFC3339Nano)
	}
	_, err := k.db.ExecContext(ctx, `INSERT INTO key_usage (key_id, last_used_at)
		SELECT u.id, u.at FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at) JOIN keys ON keys.id = u.id ORDER BY u.id
		ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at WHERE key_usage.last_used_at < excluded.last_used_at`,
		pq.Array(ids), pq.Array(times))
	return failed(ctx, "note the use of keys", err)
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
	if err == nil {
		k.changes.Tell(id)
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

// updateKey writes the key, and has the other replicas told when the
// transaction is through. Keys change rarely enough for the lock that NOTIFY
// commits under.
func updateKey(ctx context.Context, tx *sqlx.Tx, key auth.Key) error {
	if _, err := tx.NamedExecContext(ctx, updateKeyRow, rowOfKey(key)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `SELECT pg_notify($1, $2)`, keyChannel, key.ID)
	return err
}

func rowOfKey(k auth.Key) keyRow {
	r := keyRow{
		ID: k.ID, Name: k.Name, Hash: k.Hash, Algorithm: k.Algorithm, Policy: k.Policy, CreatedAt: micros(k.CreatedAt), CreatedBy: k.CreatedBy,
		Scopes: make(pq.StringArray, len(k.Scopes)), Projects: make(pq.StringArray, len(k.Projects)),
		Addresses: make(pq.StringArray, len(k.AllowedAddresses)),
		ExpiresAt: nullTime(k.ExpiresAt), RevokedAt: nullTime(k.RevokedAt), LastUsedAt: nullTime(k.LastUsedAt),
		Replaces:   sql.NullString{String: k.Replaces, Valid: k.Replaces != ""},
		ReplacedBy: sql.NullString{String: k.ReplacedBy, Valid: k.ReplacedBy != ""},
	}
	for i, s := range k.Scopes {
		r.Scopes[i] = string(s)
	}
	for i, p := range k.Projects {
		r.Projects[i] = string(p)
	}
	for i, a := range k.AllowedAddresses {
		r.Addresses[i] = a.String()
	}
	return r
}

func (r keyRow) key() auth.Key {
	k := auth.Key{
		ID: r.ID, Name: r.Name, Hash: r.Hash, Algorithm: r.Algorithm, Policy: r.Policy, CreatedAt: r.CreatedAt.UTC(), CreatedBy: r.CreatedBy,
		ExpiresAt: timeOf(r.ExpiresAt), RevokedAt: timeOf(r.RevokedAt), LastUsedAt: timeOf(r.LastUsedAt),
		Replaces: r.Replaces.String, ReplacedBy: r.ReplacedBy.String,
	}
	for _, s := range r.Scopes {
		k.Scopes = append(k.Scopes, auth.Scope(s))
	}
	for _, p := range r.Projects {
		k.Projects = append(k.Projects, auth.Pattern(p))
	}
	for _, a := range r.Addresses {
		// One that cannot be read contains no address: left out, it would
		// perhaps open the key to all.
		prefix, _ := netip.ParsePrefix(a)
		k.AllowedAddresses = append(k.AllowedAddresses, prefix)
	}
	return k
}

func keysOf(rows []keyRow) []auth.Key {
	keys := make([]auth.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys
}
