// The program api serves the stand-in of package claudetest on the address that
// it is given, for a pod.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/orchard9/rdev/internal/claudetest"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: api ADDRESS")
	}
	server := &http.Server{Addr: os.Args[1], Handler: &claudetest.API{}, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
