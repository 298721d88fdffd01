// Package binary is empty. Its module pins the helm that package helmtest builds,
// so that the SDK's go.mod stays free of it.
package binary
