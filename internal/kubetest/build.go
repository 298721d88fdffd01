package kubetest

import (
	"context"
	"io/fs"
)

// Build is an image that a test makes, of files and of what a Dockerfile says
// about them.
type Build struct {
	// Reference is the name by which pods name it. Required. Its registry should
	// be one that does not exist, so that nothing is ever pulled by mistake.
	Reference string
	// Entrypoint, Cmd, Env, User, WorkingDir, StopSignal and Volumes are those of
	// the image. PATH is in its environment.
	Entrypoint, Cmd, Env         []string
	User, WorkingDir, StopSignal string
	Volumes                      []string
	// Files are all that is in it.
	Files []File
}

// File is a file or folder of an image.
type File struct {
	Path string // without a leading slash
	// Mode says with fs.ModeDir that it is a folder.
	Mode fs.FileMode
	// ID is the number of its user and of its group.
	ID int
	// From is the file with the content; Data is the content where it is empty.
	From, Data string
}

// Build makes an image and makes it available to pods.
func (c *Cluster) Build(ctx context.Context, b Build) error {
	if c.machine == nil {
		return ErrExternal
	}
	return c.machine.build(ctx, b)
}
