package kubetest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// pauseFile is where every image has the pause program, which is what runs in a
// pod that names no command: unlike "sleep infinity" it reaps the children it
// inherits and ends when it is told to.
const pauseFile = "pause"

// writeImage writes the archive of an image into folder tmp and returns its path
// and the image's id. pauseProgram is the built pause program.
func writeImage(ctx context.Context, cfg Config, i Image, pauseProgram, tmp string) (path, id string, err error) {
	c := imageConfig{Entrypoint: []string{"/" + pauseFile}, Env: []string{searchPath}, WorkingDir: "/"}
	entries := []entry{{name: pauseFile, mode: 0o755, from: pauseProgram}}
	var layers []string
	switch i {
	case pause, NoShell:
	case Busybox:
		more, err := busyboxEntries(ctx, 0o755)
		if err != nil {
			return "", "", err
		}
		entries = append(entries, more...)
		entries = append(entries,
			entry{name: "tmp", mode: 0o1777, dir: true},
			entry{name: "root", mode: 0o700, dir: true},
			entry{name: "workspace", mode: 0o777, dir: true})
	case ReadOnly:
		c.User = "65532:65532"
		more, err := busyboxEntries(ctx, 0o555)
		if err != nil {
			return "", "", err
		}
		entries = append(entries, more...)
	case Debian:
		layer, err := debianLayer(ctx, cfg)
		if err != nil {
			return "", "", err
		}
		layers = append(layers, layer)
		entries = append(entries, entry{name: "workspace", mode: 0o777, dir: true})
	default:
		return "", "", fmt.Errorf("no image %q", i)
	}
	own := filepath.Join(tmp, string(i)+".layer.tar")
	if err := writeLayer(own, entries); err != nil {
		return "", "", err
	}
	path = filepath.Join(tmp, string(i)+".tar")
	id, err = writeArchive(path, i.imported(), c, append(layers, own))
	return path, id, err
}

// busyboxEntries is a root with busybox under the names of all its applets.
func busyboxEntries(ctx context.Context, dirMode int64) ([]entry, error) {
	busybox, err := lookTool("busybox")
	if err != nil {
		return nil, err
	}
	list, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --list: %w", busybox, err)
	}
	entries := []entry{
		{name: "bin", mode: dirMode, dir: true},
		{name: "etc", mode: dirMode, dir: true},
		{name: "dev", mode: dirMode, dir: true},
		{name: "proc", mode: dirMode, dir: true},
		{name: "sys", mode: dirMode, dir: true},
		{name: "bin/busybox", mode: 0o755, from: busybox},
		{name: "etc/passwd", mode: 0o644, data: "root:x:0:0:root:/root:/bin/sh\nuser:x:65532:65532:user:/:/bin/sh\n"},
		{name: "etc/group", mode: 0o644, data: "root:x:0:\nuser:x:65532:\n"},
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			entries = append(entries, entry{name: "bin/" + applet, mode: 0o777, link: "busybox"})
		}
	}
	return entries, nil
}
