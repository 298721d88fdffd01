package kube

// For tests of the package from outside.
var NewPipe = newPipe

func (p *pipe) End(err error) { p.end(err) }
func (p *pipe) Close()        { p.close() }
