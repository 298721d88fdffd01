package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream/sse"
)

// pair makes a certificate for 127.0.0.1 that signs itself.
func pair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// A tlsStand serves a stand's Server over TLS.
type tlsStand struct {
	*stand
	certFile, keyFile string
	addr              string

	mu   sync.Mutex
	told []error
}

func newTLSStand(t *testing.T) *tlsStand {
	t.Helper()
	is := is.New(t)
	dir := t.TempDir()
	ts := &tlsStand{stand: newStand(t, nil), certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	cert, key := pair(t, "first")
	ts.write(t, cert, key)
	certificate, err := server.LoadCertificate(ts.certFile, ts.keyFile, func(err error) {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		ts.told = append(ts.told, err)
	})
	is.NoErr(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	ts.addr = listener.Addr().String()
	hs := ts.srv.NewHTTPServer("")
	hs.TLSConfig = certificate.Config()
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = hs.Close(); <-served })
	return ts
}

func (ts *tlsStand) write(t *testing.T, cert, key []byte) {
	t.Helper()
	for path, b := range map[string][]byte{ts.certFile: cert, ts.keyFile: key} {
		if b == nil {
			continue
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (ts *tlsStand) reports() []error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return append([]error(nil), ts.told...)
}

// served is the name in the certificate of a new connection.
func (ts *tlsStand) served(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", ts.addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is what is looked at
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestCertificatesAreReloaded(t *testing.T) {
	is := is.New(t)
	ts := newTLSStand(t)
	is.Equal(ts.served(t), "first")
	cert, key := pair(t, "second")
	ts.write(t, cert, key)
	eventually(t, "the second is served", func() bool { return ts.served(t) == "second" })
	is.Equal(ts.reports()[len(ts.reports())-1], nil)

	// A certificate without its key: the second stays, and it is said.
	cert, key = pair(t, "third")
	ts.write(t, cert, nil)
	before := len(ts.reports())
	eventually(t, "the broken pair is told", func() bool { is.Equal(ts.served(t), "second"); return len(ts.reports()) > before })
	is.True(strings.Contains(ts.reports()[before].Error(), "stays in use"))
	ts.write(t, nil, key)
	eventually(t, "the third is served", func() bool { return ts.served(t) == "third" })

	before = len(ts.reports())
	is.NoErr(os.Remove(ts.certFile))
	eventually(t, "the missing file is told", func() bool { is.Equal(ts.served(t), "third"); return len(ts.reports()) > before })

	_, err := server.LoadCertificate(ts.certFile, ts.keyFile, nil)
	is.True(err != nil)
	_, err = server.LoadCertificate("", "", nil)
	is.True(err != nil)
}

func TestOldTLSIsRefused(t *testing.T) {
	is := is.New(t)
	ts := newTLSStand(t)
	for version, works := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", ts.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}) //nolint:gosec // it is about versions
		is.Equal(err == nil, works)
		if err == nil {
			_ = conn.Close()
		}
	}
}

// TestStreamsOverTLS: with HTTP/1.1, where the connection is taken over, and
// with HTTP/2; a revoked key ends both.
func TestStreamsOverTLS(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			ts := newTLSStand(t)
			ts.command("cut", rdev.StateRunning)
			key, secret, err := ts.svc.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
				Name: "k", Scopes: []auth.Scope{auth.ScopeStreamsRead}, Projects: []auth.Pattern{"web"},
			})
			is.NoErr(err)
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2} //nolint:gosec // it signs itself
			t.Cleanup(transport.CloseIdleConnections)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+ts.addr+"/projects/web/events?stream_id=cut", nil)
			is.NoErr(err)
			req.Header.Set("Authorization", "Bearer "+secret.Reveal())
			resp, err := transport.RoundTrip(req)
			is.NoErr(err)
			defer resp.Body.Close()
			is.Equal(resp.ProtoMajor == 2, http2)
			is.Equal(resp.StatusCode, http.StatusOK)
			is.Equal(resp.Header.Get("Strict-Transport-Security"), "max-age=31536000")
			events := sse.NewDecoder(resp.Body, nil)
			next(t, events, "connected")
			for seq := uint64(1); seq <= 3; seq++ {
				ts.publish("cut", seq, seq)
				next(t, events, "output")
			}
			_, err = ts.svc.RevokeKey(t.Context(), auth.Admin(), key.ID)
			is.NoErr(err)
			is.Equal(denial(t, events), "UNAUTHENTICATED")
			_, err = events.Next()
			is.Equal(err, io.EOF)
		})
	}
}
