package client

// A Code is a failure in the words of the API, and an error to compare with:
//
//	errors.Is(err, client.ProjectNotFound)
type Code string

// The codes that a caller may want to tell apart. The server may send others.
const (
	InvalidArgument Code = "INVALID_ARGUMENT"
	CommandRejected Code = "COMMAND_REJECTED"
	Unauthenticated Code = "UNAUTHENTICATED"
	Forbidden       Code = "FORBIDDEN"
	ProjectNotFound Code = "PROJECT_NOT_FOUND"
	UnknownCommand  Code = "UNKNOWN_COMMAND"
	CommandNotFound Code = "COMMAND_NOT_FOUND"
	NotExecutable   Code = "NOT_EXECUTABLE"
	KeyNotFound     Code = "KEY_NOT_FOUND"
	PodNotFound     Code = "POD_NOT_FOUND"
	PodNotReady     Code = "POD_NOT_READY"
	Gone            Code = "GONE"
	Conflict        Code = "CONFLICT"
	CommandLost     Code = "COMMAND_LOST"
	ClaudeError     Code = "CLAUDE_ERROR"
	Canceled        Code = "CANCELED"
	RateLimited     Code = "RATE_LIMITED"
	TooManyCommands Code = "TOO_MANY_COMMANDS"
	TooManyStreams  Code = "TOO_MANY_STREAMS"
	Unavailable     Code = "UNAVAILABLE"
	Internal        Code = "INTERNAL"
)

// Error implements error.
func (c Code) Error() string { return "rdev: " + string(c) }
