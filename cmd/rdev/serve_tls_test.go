package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/rs/zerolog"
)

func TestTLSSettings(t *testing.T) {
	is := is.New(t)
	// The certificate of the standard library's tests.
	example := httptest.NewTLSServer(http.NotFoundHandler())
	example.Close()
	key, err := x509.MarshalPKCS8PrivateKey(example.TLS.Certificates[0].PrivateKey)
	is.NoErr(err)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	is.NoErr(os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: example.Certificate().Raw}), 0o600))
	is.NoErr(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))

	log := zerolog.Nop()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	defer plain.Close()
	same, scheme, err := withTLS(Config{}, plain, &log)
	is.NoErr(err)
	is.Equal(scheme, "http")
	is.True(same == plain)
	for want, c := range map[string]Config{
		"needs both":       {TLSCertFile: certFile},
		"both":             {TLSKeyFile: keyFile},
		"cannot serve TLS": {TLSCertFile: keyFile, TLSKeyFile: certFile},
		"no such file":     {TLSCertFile: certFile, TLSKeyFile: filepath.Join(dir, "none")},
	} {
		_, _, err := withTLS(c, plain, &log)
		is.True(err != nil && strings.Contains(err.Error(), want))
	}

	listener, scheme, err := withTLS(Config{TLSCertFile: certFile, TLSKeyFile: keyFile}, plain, &log)
	is.NoErr(err)
	is.Equal(scheme, "https")
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() { defer close(served); _ = web.Serve(listener) }()
	defer func() { _ = web.Close(); <-served }()
	roots := x509.NewCertPool()
	roots.AddCert(example.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + plain.Addr().String())
	is.NoErr(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	is.NoErr(err)
	is.Equal(string(body), "HTTP/2.0")
}
