// Package pgtest gives tests a real Postgres, started from the binaries that
// are installed on this machine.
//
// New is all that most tests need: a fresh database, migrated, dropped when
// the test ends. Its server starts once per test process (about 1.5 s), listens
// on 127.0.0.1 alone and disappears with the process, however that ends: a
// small watchdog waits for the end of a pipe, stops the server and removes its
// folder. What a killed watchdog left is removed by the next run.
//
// Start gives a test a server of its own, to stop, kill, freeze and restart.
//
// A missing Postgres fails the test and names the command that installs it; it
// never skips. With RDEV_TEST_DATABASE_URL, New uses that server instead.
package pgtest
