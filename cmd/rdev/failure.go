package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/orchard9/rdev/server/client"
)

// A remoteError is a failure that came from talking to a server. It knows what
// the user can do about it.
type remoteError struct {
	remote *remote
	err    error
}

func (e *remoteError) Error() string { return e.err.Error() }
func (e *remoteError) Unwrap() error { return e.err }

// explain adds to an error of the client which server and which key it was.
func (r *remote) explain(err error) error {
	if err == nil {
		return nil
	}
	return &remoteError{remote: r, err: err}
}

// describe is an error in words for people.
func describe(err error) string {
	var from *remoteError
	var answer *client.Error
	var transport *url.Error
	switch {
	case errors.As(err, &answer):
		text := fmt.Sprintf("%s (%s)", answer.Message, string(answer.Code))
		switch {
		case errors.As(err, &from) && answer.Code == client.Unauthenticated:
			text = fmt.Sprintf("%s does not accept the key from %s (%s)", from.remote.url, from.remote.keySource, string(answer.Code))
		case answer.Code == client.Internal && answer.RequestID != "":
			text += ", request " + answer.RequestID
		}
		return text
	case errors.As(err, &from) && errors.As(err, &transport):
		var op *net.OpError
		reason := transport.Err.Error()
		if errors.As(err, &op) && op.Op == "dial" {
			return fmt.Sprintf("cannot reach %s: %v; is rdev serve running?", from.remote.url, op.Err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			reason = "it does not answer"
		}
		return fmt.Sprintf("lost %s: %s", from.remote.url, reason)
	}
	return strings.TrimPrefix(err.Error(), "client: ")
}

// isAuth reports whether the key, or the lack of one, is the reason.
func isAuth(err error) bool {
	var noKey *noKeyError
	return errors.As(err, &noKey) || errors.Is(err, client.Unauthenticated) || errors.Is(err, client.Forbidden)
}

// remoteExit is the exit code of run, git, claude and logs -f if something else
// than the remote command failed.
func remoteExit(err error) int {
	for _, known := range []struct {
		code client.Code
		exit int
	}{
		{client.CommandRejected, exitRefused},
		{client.Unauthenticated, exitRefused},
		{client.Forbidden, exitRefused},
		{client.ProjectNotFound, exitNotFound},
		{client.UnknownCommand, exitNotFound},
	} {
		if errors.Is(err, known.code) {
			return known.exit
		}
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return exitRdev
}

// plain is a message without the name of the package that it begins with, which
// tells users nothing.
func plain(message string) string {
	name, rest, found := strings.Cut(message, ": ")
	if found && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz/") == "" {
		return rest
	}
	return message
}
