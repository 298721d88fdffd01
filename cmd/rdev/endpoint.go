package main

import (
	"os"
	"path/filepath"
	"strings"
)

// The server leaves its URL in its data folder while it runs. By that the
// command line on the same machine finds it, on whichever port; and it is the
// only server to which the key of that folder is ever sent by itself.

func endpointPath(dataDir string) string { return filepath.Join(dataDir, "server.url") }

// writeEndpoint records the URL, until remove is called.
func writeEndpoint(dataDir, url string) (remove func(), err error) {
	path := endpointPath(dataDir)
	if err := writePrivate(path, url+"\n"); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil
}

// readEndpoint returns the URL of the server that runs from the folder, or "".
func readEndpoint(dataDir string) string {
	if dataDir == "" {
		return ""
	}
	text, err := os.ReadFile(endpointPath(dataDir))
	if err != nil || len(text) > 200 {
		return ""
	}
	return strings.TrimSpace(string(text))
}
