package main

import (
	"crypto/tls"

	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/server"
)

// withTLS returns the listener as one of TLS if the settings name a certificate,
// and the scheme of the URLs of what it serves.
func withTLS(c Config, plain listener, log *zerolog.Logger) (l listener, scheme string, err error) {
	switch {
	case c.TLSCertFile == "" && c.TLSKeyFile == "":
		return plain, "http", nil
	case c.TLSCertFile == "" || c.TLSKeyFile == "":
		return nil, "", usagef("one of tls_cert_file and tls_key_file is set; a certificate needs both")
	}
	certificate, err := server.LoadCertificate(c.TLSCertFile, c.TLSKeyFile, func(err error) {
		if err != nil {
			log.Error().Err(err).Msg("in the background")
			return
		}
		log.Info().Str("file", c.TLSCertFile).Msg("the certificate was read again")
	})
	if err != nil {
		return nil, "", usagef("cannot serve TLS: %w", err)
	}
	return tls.NewListener(plain, certificate.Config()), "https", nil
}
