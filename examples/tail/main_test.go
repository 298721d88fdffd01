package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
)

// A server that loses its first reader in the middle.
func Example() {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		last := r.Header.Get("Last-Event-ID")
		for n := 1; n <= 4; n++ {
			id := fmt.Sprintf("cmd-1:%d", n)
			if id <= last {
				continue
			}
			fmt.Fprintf(w, "event: output\nid: %s\ndata: {\"line\":\"%d\",\"stream\":\"stdout\"}\n\n", id, n)
			w.(http.Flusher).Flush()
			if last == "" && n == 2 {
				panic(http.ErrAbortHandler)
			}
		}
		fmt.Fprint(w, "event: complete\nid: cmd-1:final\ndata: {\"exit_code\":0}\n\n")
	}))
	defer web.Close()

	t := tail{server: web.URL, key: "key", project: "here", id: "cmd-1"}
	if err := t.run(context.Background(), os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// output {"line":"1","stream":"stdout"}
	// output {"line":"2","stream":"stdout"}
	// (lost, back at cmd-1:2)
	// output {"line":"3","stream":"stdout"}
	// output {"line":"4","stream":"stdout"}
	// complete
}
