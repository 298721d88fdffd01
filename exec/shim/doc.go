// Package shim is the engine that owns processes: it starts commands, keeps
// what they print in numbered lines on disk, lets any number of callers follow
// them from any line, and ends them with their whole process tree.
//
// The engine knows no network and no server. exec/local uses it in process, or
// in a process of its own (package daemon), which a Server serves to Clients
// over connections of any kind.
//
// # State
//
// An Engine owns one state folder, which it locks for its life:
//
//	lock                  held with flock while an Engine is open
//	instance              random name of this incarnation of the folder
//	spare/                folders of commands to come, made new or of forgotten ones
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
// that of the machine. With Options.Volatile the same holds for records.
//
// An ID that is not there was not always new: ended commands are deleted after a
// while, or when there are many. A command that may have been started before
// (exec.Command.Resume) is therefore started only if its Target.Instance names
// this very engine, which keeps in mind all the IDs that it ever had. Another
// engine, or one of a folder that was wiped, answers exec.ErrOutcomeUnknown or
// exec.ErrLost. The IDs that were deleted last are not started for anybody.
//
// # Processes
//
// Each command is the leader of a session and process group of its own and
// carries a cookie in its environment, so that descendants are found even
// where they left the group. The main process is kept as a zombie until its
// tree is gone: so long, neither its process id nor that of its group can be
// given to a stranger, and signals to them cannot hit one.
//
// A host process is not made a child subreaper by itself, because that is not a
// library's to decide. Without it, a descendant that has left the session *and*
// wiped its environment (or does not let it be read, as ssh-agent) *and* whose
// parent has died is not found. A process that exists to host an engine becomes
// one (BecomeSubreaper, Options.Subreaper): such orphans then come to it, and are
// killed with the last of the commands that they can be of.
//
// What ran under an engine that was killed with KILL is lost, for good reason:
// a process can be waited for by its parent alone, and its output went into
// pipes whose other end is gone. Nobody could say how it ended or what it still
// said. What had ended before is not: its outcome was written first.
//
// # Protocol
//
// A connection carries packets, in both directions, in little-endian order:
//
//	u32  length of the payload, at most 256 KiB less head and checksum
//	u8   kind
//	u8   zero, three times
//	u32  channel
//	     payload
//	u32  CRC-32C of all before it
//
// Whatever does not fit this, or makes no sense where it comes, ends the
// connection, and nothing else: it is the client that tries again.
//
// A process that bridges two pipes to a unix socket may begin with one zero byte
// that carries both of them (SCM_RIGHTS, see HandOver). They take the place of the
// connection, which from then on only says, by its end, that either side is gone.
//
// The first packet each way is hello (1): "rdevshim", u16 lowest and u16 highest
// version that the sender speaks, and a JSON object about the sender. The server
// answers with the highest version that both speak, twice, or with refuse (32),
// of the same layout, and ends the connection. If the client's object has
// "drain", a server that refuses it drains, so that another can take its place.
// Hello and refuse are the same in all versions; what follows is version 1.
//
// Either side sends heartbeat (2) every 10 s, and ends the connection when it
// has heard nothing for three times that, or when the other side takes that long
// to take a packet.
//
// From the client, on a channel that it has not used before:
//
//	environ (16)  on channel 0, before all others: the environment of the
//	              commands that it starts
//	execute (17)  a command to run or follow, whether it may have been started
//	              before, and the first credit
//	credit  (18)  u32: so many bytes of lines more may be sent
//	end     (19)  the command is to be cancelled; its end is still told
//	detach  (20)  no more of it is wanted; it goes on
//	cancel  (21)  cancel the command with that ID, answer when it is dead
//	forget  (22)  delete the ended command with that ID
//	status  (23)  say how you are (JSON)
//	drain   (24)  start no more commands and end after the last one; with
//	              "stop", cancel them first
//	kill    (25)  as cancel, without a grace period
//
// The first two may be long, and come in parts of up to 64 KiB: each begins with
// a byte that is 1 in the last one and else 0. Before that one nothing happens,
// so a request of which a part is missing was certainly not executed.
//
// From the server, on the channel of the request:
//
//	accepted (33)  the command is known here, and was started if it was not;
//	               held back for up to 2 ms, to come with the first lines
//	lines    (34)  whole frames of the command's log, as they stand there; the
//	               first may begin before the line that was asked for
//	packed   (38)  the same as an S2 block, where that was tried and is smaller
//	               and the client's object has "pack"
//	result   (35)  the command has ended: its Result (JSON)
//	failure  (36)  there is no Result: why (JSON, with codes for the sentinels)
//	done     (37)  the answer to the requests that are not execute
//
// Lines are sent while there is credit, so one packet may go beyond it. A client
// that does not take them stops its own command's lines alone, and not the
// command. After a connection broke, the client sends the request again with the
// number of the last line that it gave to its sink and with the instance of the
// state folder where it was accepted first: the engine knows the command by its
// ID and starts nothing twice.
package shim
