package shim

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// killWait is how long killed processes have to be gone before they are
// reported as survivors.
const killWait = 5 * time.Second

// cookie is the environment variable that marks the processes of a command. Its
// name, not only its value, is the command's own: a command that runs rdev
// itself passes its mark on to what that starts.
func cookie(instance, id string) string {
	sum := sha256.Sum256([]byte(instance + "/" + id))
	return "RDEV_COOKIE_" + hex.EncodeToString(sum[:10]) + "=" + id
}
