//go:build race

package server_test

// raceDetector says that memory cannot be measured: the detector has its own.
const raceDetector = true
