// Package kube runs commands in pods of a Kubernetes cluster, and finds the
// projects that they belong to. It is the exec.Executor and the rdev.Projects
// of a server whose projects are pods.
//
// # Projects
//
// A pod with the label rdev.orchard9.ai/project=true belongs to the project
// that its label rdev.orchard9.ai/name names. The annotations
// rdev.orchard9.ai/description, /container and /workspace say the rest, and the
// ConfigMap rdev-config in the same namespace overrides them (see ProjectSettings). A
// watch keeps all of that in memory: a change is visible as soon as the API
// server tells of it, and nothing has to be refreshed. It decides where new
// commands run. Those that run are bound to their pod and container, and are
// exec.ErrLost only when the API server confirms that these are gone: the watch
// says of a pod that loses its label what it says of one that was deleted.
//
// # What exec promises, and what this package promises
//
// The exec of Kubernetes reports success for a command whose connection broke:
// the end of the status stream without a status is taken for exit code 0, in
// the client and inside the API server. It addresses pods by name, so that a
// command meant for one pod can start in its replacement. It leaves processes
// running whose caller is gone. So an exec of this package is either a stream to
// a supervisor in the pod, or a small script in the pod's sh that
//
//   - says that it is there, before it is told what to run. The command goes in
//     over standard input only after the API server has confirmed that the name
//     still means the pod and the container that were chosen. What fails before
//     that certainly never started, and is tried again. It also keeps arguments
//     and environment out of the exec's URL, and so out of audit logs.
//   - says how the command ended, behind its output, on both streams. Only that
//     is an outcome. A stream that ends without it is exec.ErrOutcomeUnknown,
//     or exec.ErrLost with the reason from the pod's status where the pod or
//     the container is gone.
//
// Nothing is ever started twice. Above all, a command that may have been started
// by a process that is gone (exec.Command.Resume) is not, unless it was to run
// under a shim that has run since before and never had it; where nobody
// remembers it, it is exec.ErrOutcomeUnknown.
//
// Output is taken from the connection as fast as it comes and kept beside this
// process (in memory, and in a temporary file when it grows), because a reader
// that stalls a connection of exec for seconds loses output or the exit code.
//
// # Under a shim
//
// Commands run under a shim (exec/shim), a small program that is placed in the
// container once and reached over one exec stream that carries all commands of
// the pod. They do not notice that a connection breaks, that the API server, the
// kubelet or the container runtime restarts, or that this process ends: whoever
// calls Execute again goes on where it was. The shim is built into this package
// for amd64 and arm64, and goes into the first folder that is writable and lets
// programs be executed: an emptyDir volume (that of the workspace after the
// others), HOME, /tmp, /var/tmp, /dev/shm. Where
// an image or a volume has it, the annotation rdev.orchard9.ai/shim says so, and
// no shell is needed.
//
// # Direct mode
//
// Where no shim can be placed (a root that is read-only and no emptyDir, another
// architecture), there is one exec for each command, which is called direct
// mode. What it cannot promise: a command is followed over one connection, and
// is killed when that breaks, which is exec.ErrOutcomeUnknown; if it cannot be
// killed for a minute, because the API server is away for longer, the error says
// that it may still run, and Cancel tries again. No other process can tell how a
// command ended. Timeouts are kept by this process: if it dies, its commands go
// on, without a timeout and for nobody. An exit code of 128+n is reported as
// signal n, because a shell does not tell the two apart. Processes that left the
// session of the command and wiped their environment, or do not let it be read
// (another user's, ssh-agent), are not found when it is cancelled.
//
// A container with neither a shim nor sh cannot run commands:
// exec.ErrTargetNotReady says so.
package kube
