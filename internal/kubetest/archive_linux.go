package kubetest

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// entry is a file, folder or symbolic link of an image.
type entry struct {
	name string // without a leading slash
	mode int64
	link string // target, if it is a symbolic link
	from string // file with the content
	data string // the content itself, if from is empty
	dir  bool
	id   int // of its user and of its group
}

// imageConfig is the part of the OCI image configuration that images here use.
type imageConfig struct {
	Entrypoint []string            `json:"Entrypoint"`
	Cmd        []string            `json:"Cmd,omitempty"`
	Env        []string            `json:"Env"`
	User       string              `json:"User,omitempty"`
	WorkingDir string              `json:"WorkingDir,omitempty"`
	StopSignal string              `json:"StopSignal,omitempty"`
	Volumes    map[string]struct{} `json:"Volumes,omitempty"`
}

// writeLayer writes entries as a layer. Equal entries make equal files.
func writeLayer(path string, entries []entry) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, e := range entries {
		if err := writeEntry(w, e); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return w.Close()
}

func writeEntry(w *tar.Writer, e entry) error {
	h := &tar.Header{Name: e.name, Mode: e.mode, ModTime: time.Unix(0, 0), Uid: e.id, Gid: e.id}
	switch {
	case e.dir:
		h.Typeflag, h.Name = tar.TypeDir, e.name+"/"
		return w.WriteHeader(h)
	case e.link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		return w.WriteHeader(h)
	}
	h.Typeflag = tar.TypeReg
	content := []byte(e.data)
	if e.from != "" {
		var err error
		if content, err = os.ReadFile(e.from); err != nil {
			return err
		}
	}
	h.Size = int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// writeArchive writes what "docker save" would: layers, a configuration and a
// manifest. It returns the id of the image, which is the configuration's digest.
func writeArchive(path, reference string, c imageConfig, layers []string) (id string, err error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	var diffIDs, names []string
	for n, layer := range layers {
		name := fmt.Sprintf("layer%d.tar", n)
		digest, err := addLayer(w, name, layer)
		if err != nil {
			return "", err
		}
		diffIDs, names = append(diffIDs, digest), append(names, name)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       c,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return "", err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{reference}, "Layers": names,
	}})
	if err != nil {
		return "", err
	}
	for _, e := range []entry{
		{name: "config.json", mode: 0o644, data: string(config)},
		{name: "manifest.json", mode: 0o644, data: string(manifest)},
	} {
		if err := writeEntry(w, e); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(config)), w.Close()
}

func addLayer(w *tar.Writer, name, file string) (digest string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: info.Size(), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(h); err != nil {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), f); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sum.Sum(nil)), nil
}
