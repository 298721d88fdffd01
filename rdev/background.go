package rdev

// A CommandError is what Config.OnError is told of a failure that is about one
// command. It says which; its text is that of Err.
type CommandError struct {
	CommandID string
	Project   string
	KeyID     string
	RequestID string // of the request that asked for the command; may be empty
	TraceID   string // empty if the command is in no trace
	Err       error
}

func (e *CommandError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *CommandError) Unwrap() error { return e.Err }

// failed tells OnError of a failure that is about the command.
func (s *Service) failed(cmd *Command, err error) {
	s.cfg.OnError(&CommandError{
		CommandID: cmd.ID, Project: cmd.Project, KeyID: cmd.KeyID, RequestID: cmd.RequestID, TraceID: cmd.Trace.ID(), Err: err,
	})
}
