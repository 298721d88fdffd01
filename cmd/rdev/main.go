// Command rdev runs commands in projects and streams what they print.
//
// `rdev serve` is the server; everything else is a client of one. Start with:
//
//	rdev serve
//	rdev run -- git status
//
// `rdev help` lists the rest.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
