package supervise

// Op says what a Request wants.
type Op string

const (
	// OpStart starts Argv under Name; the reply carries the process id as it
	// is in the node's namespace. A name is free again once its process ended.
	OpStart Op = "start"
	// OpSignal sends Signal to the process called Name.
	OpSignal Op = "signal"
	// OpWait replies when the process called Name, as it was last started, has
	// ended; at once if it already has.
	OpWait Op = "wait"
)

// Request is one line of JSON to the node.
type Request struct {
	ID     int64    `json:"id"`
	Op     Op       `json:"op"`
	Name   string   `json:"name"`
	Argv   []string `json:"argv,omitempty"`
	Log    string   `json:"log,omitempty"` // file that output is appended to
	Signal int      `json:"signal,omitempty"`
}

// Reply is one line of JSON from the node. Replies come in any order. The first
// one has ID 0: it says that the namespaces are ready, or why they are not.
type Reply struct {
	ID    int64  `json:"id"`
	PID   int    `json:"pid,omitempty"`
	Exit  *Exit  `json:"exit,omitempty"`
	Error string `json:"error,omitempty"`
}

// Exit is how a process ended: by a signal, or else with a code.
type Exit struct {
	Code   int `json:"code"`
	Signal int `json:"signal,omitempty"`
}
