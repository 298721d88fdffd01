package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// A streamer opens exec streams.
type streamer struct {
	config *rest.Config
	client rest.Interface
	ready  time.Duration // see Options.ReadyTimeout
}

// stream runs argv in the container and returns when the stream has ended, with
// what the transport says about that, which is no proof of anything: see the
// package comment. stdin is read once the stream stands. Nothing is written to
// stdout and stderr after the return, and no writer may block. argv is a program
// of ours, which says that it is there before anything else: a stream that stays
// silent is ended.
func (s *streamer) stream(ctx context.Context, p place, argv []string, stdin io.Reader, stdout, stderr io.Writer) error {
	url := s.client.Post().Resource("pods").Namespace(p.namespace).Name(p.pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: p.container, Command: argv, Stdin: true, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	executor, err := s.executor(url)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	silent := fmt.Errorf("nothing has come out of the container for %v: its runtime starts no program, or the program hangs", s.ready)
	timer := time.AfterFunc(s.ready, func() { stop(silent) })
	defer timer.Stop()
	out, errs := &gate{w: stdout, word: timer.Stop}, &gate{w: stderr, word: timer.Stop}
	defer out.close()
	defer errs.close()
	err = executor.StreamWithContext(quiet(ctx), remotecommand.StreamOptions{Stdin: stdin, Stdout: out, Stderr: errs})
	if err != nil && context.Cause(ctx) == silent {
		return silent
	}
	return err
}

// quiet keeps client-go from writing a log of its own to stderr: what it would
// say is in the error that it returns, or is noise about streams that were ended
// here.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, klog.Logger{}) }

// executor returns one for a single use: WebSocket, and SPDY where that cannot
// be had.
func (s *streamer) executor(url *url.URL) (remotecommand.Executor, error) {
	ws, err := remotecommand.NewWebSocketExecutor(s.config, http.MethodGet, url.String())
	if err != nil {
		return nil, fmt.Errorf("open WebSocket: %w", err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(s.config, http.MethodPost, url)
	if err != nil {
		return nil, fmt.Errorf("open SPDY: %w", err)
	}
	return remotecommand.NewFallbackExecutor(ws, spdy, needsSPDY)
}

// needsSPDY reports whether the WebSocket was refused before it stood, so that
// nothing can have started, and by something else than the API server's
// considered answer, which SPDY would get again.
func needsSPDY(err error) bool {
	if status, ok := refusal(err); ok {
		switch status.Code {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
			http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return false
		case http.StatusBadRequest: // an old server says this to WebSockets, too
			return !isAboutPod(status.Message)
		}
	}
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

type status struct {
	Code    int32
	Message string
}

// refusal returns the API server's answer to a WebSocket that it refused.
func refusal(err error) (status, bool) {
	var upgrade *httpstream.UpgradeFailureError
	var answer apierrors.APIStatus
	if errors.As(err, &upgrade) && errors.As(upgrade.Cause, &answer) { // it has no Unwrap
		return status{answer.Status().Code, answer.Status().Message}, true
	}
	return status{}, false
}

// A gate is a writer that can be closed: remotecommand goes on writing after
// its return.
type gate struct {
	mu     sync.Mutex
	w      io.Writer
	word   func() bool // called once, when something comes
	closed bool
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	if g.word != nil {
		g.word()
		g.word = nil
	}
	return g.w.Write(b)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
