package sqlite

import "errors"

// ErrInUse: the file is open in another process, or twice in this one.
var ErrInUse = errors.New("file is in use by another rdev")
