// Package shim is the engine that owns processes: it starts commands, keeps
// what they print in numbered lines on disk, lets any number of callers follow
// them from any line, and ends them with their whole process tree.
//
// The engine knows no network and no server. exec/local uses it in process; a
// process of its own can serve it to others.
//
// # State
//
// An Engine owns one state folder, which it locks for its life:
//
//	lock                  held with flock while an Engine is open
//	instance              random name of this incarnation of the folder
//	spare/                folders of commands to come
//	v1/<id>/              one command; to rename a spare to it is the claim
//	    records.jsonl     started: digest, argv, folder, limits, never stdin or
//	                      values of the environment, fsynced before the fork;
//	                      process: its id; exit: the outcome, written before it
//	                      is told and fsynced soon after
//	    <first-seq>.seg   the log, frames of lines in segments of 4 MiB
//
// A folder without a started record certainly never ran, as the fork comes
// after the fsync. One without an exit record ran under an engine that died:
// the next Open kills what is left of it and records exec.ErrLost. Log data is
// not fsynced: it survives the death of the process that hosts the engine, not
// that of the machine.
//
// # Processes
//
// Each command is the leader of a session and process group of its own and
// carries a cookie in its environment, so that descendants are found even
// where they left the group. The main process is kept as a zombie until its
// tree is gone: so long, neither its process id nor that of its group can be
// given to a stranger, and signals to them cannot hit one.
//
// The host process is never made a child subreaper, because that is not a
// library's to decide. A descendant that has left the session *and* wiped its
// environment *and* whose parent has died is therefore not found. A process
// that exists to host an engine should become a subreaper before Open; see
// tree.members in kill_linux.go for the place where its orphans belong.
package shim
