package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/store/sqlite"
)

// Postgres examines the database that servers share.
func (r *Report) Postgres(ctx context.Context, options postgres.Options) {
	const check = "database"
	h, err := postgres.Examine(ctx, options)
	if err != nil {
		r.Fail(check, "check RDEV_DATABASE_URL (host, name, user, password, sslmode), and that this machine may connect", "the database of RDEV_DATABASE_URL cannot be used: %s", storeText(err))
		return
	}
	if h.Standby {
		r.Fail(check, "name the primary in RDEV_DATABASE_URL, or add target_session_attrs=read-write", "Postgres %s answers, but it is a standby that takes no writes", h.Server)
	} else {
		r.Ok(check, "Postgres %s answers", h.Server)
	}
	r.schema("the database", h.Schema, h.Latest)
	r.clock("database-clock", "the database", h.Asked, h.Answered, h.Now, time.Microsecond)
}

// DataDir examines the data folder of a server on this machine, which may be
// running. withDatabase says that the database is in there.
func (r *Report) DataDir(ctx context.Context, dir string, withDatabase bool) {
	const check = "data"
	const mend = "name another folder with RDEV_DATA_DIR, or change the owner of this one"
	info, err := os.Stat(dir)
	switch {
	case dir == "":
		r.Fail(check, "set HOME, or name a folder with RDEV_DATA_DIR", "there is no place for data")
		return
	case errors.Is(err, fs.ErrNotExist):
		r.Ok(check, "there is no data folder yet: rdev serve makes %s", dir)
		return
	case err != nil:
		r.Fail(check, mend, "the data folder %s cannot be used: %v", dir, inner(err))
		return
	case !info.IsDir():
		r.Fail(check, mend, "the data folder %s is no folder", dir)
		return
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		r.Fail(check, mend, "nothing can be written in the data folder %s: %v", dir, inner(err))
		return
	}
	if info.Mode().Perm()&0o077 != 0 {
		r.Warn(check, "chmod 700 "+dir, "others may look into the data folder %s", dir)
	} else {
		r.Ok(check, "the data folder %s can be written", dir)
	}
	if !withDatabase {
		return
	}
	switch have, latest, err := sqlite.Versions(ctx, filepath.Join(dir, "rdev.db")); {
	case errors.Is(err, fs.ErrNotExist): // rdev serve makes it
	case err != nil:
		r.Fail("schema", "restore rdev.db from a backup", "the database cannot be read: %s", storeText(err))
	default:
		r.schema("rdev.db", have, latest)
	}
}

// schema judges the version of a schema that is there against the one that this
// program works with.
func (r *Report) schema(whose string, have, latest int64) {
	const check = "schema"
	switch {
	case have > latest:
		r.Fail(check, "use the newer rdev that made it, or restore the backup from before", "the schema of %s has version %d, this rdev knows up to %d", whose, have, latest)
	case have == 0:
		r.Ok(check, "%s has no schema yet: rdev serve makes it", whose)
	case have < latest:
		r.Warn(check, "start this version of rdev serve: it brings the schema up to date (take a backup before)", "the schema of %s has version %d, this rdev works with %d", whose, have, latest)
	default:
		r.Ok(check, "the schema of %s has version %d, as this rdev needs it", whose, have)
	}
}
