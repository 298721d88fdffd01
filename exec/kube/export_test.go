package kube

import "time"

// For tests of the package from outside.
var NewPipe = newPipe

func (p *pipe) End(err error) { p.end(err) }
func (p *pipe) Close()        { p.close() }

// LimitKills changes how long a kill may take. It is called before commands run.
func (x *Executor) LimitKills(limit time.Duration) { x.killWait = limit }

// SignalName names the signal that a shell's exit code tells.
var SignalName = signalName

// BootArgv and KillInput are how processes are ended where there is no shim.
var (
	BootArgv  = bootArgv
	KillInput = killInput
)
