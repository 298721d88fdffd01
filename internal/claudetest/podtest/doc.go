// Package podtest runs the real Claude Code CLI in a pod.
package podtest
