// Says the query and the length of the body, then the body. With `wait=N` it answers once N such requests are there, which
// on one connection takes one that carries many at once.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"strconv"
	"sync"
)

var (
	mutex   sync.Mutex
	arrived = sync.NewCond(&mutex)
	waiting int
)

func wait(count int) {
	mutex.Lock()
	defer mutex.Unlock()
	waiting++
	arrived.Broadcast()
	for waiting < count {
		arrived.Wait()
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if count, err := strconv.Atoi(r.URL.Query().Get("wait")); err == nil {
		wait(count)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Method", r.Method)
	fmt.Fprintf(w, "%s %d\n", r.URL.RawQuery, len(body))
	w.Write(body)
}

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err == nil {
		err = fcgi.Serve(listener, http.HandlerFunc(echo))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
