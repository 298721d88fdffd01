package kube

import (
	"bytes"
	"io"
	osexec "os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestKillOfASession: a kill that comes late ends the session that the script
// had, and not another one that has its number by now.
func TestKillOfASession(t *testing.T) {
	const nonce = "NONCEOFTHESCRIPT"
	for name, leader := range map[string]struct {
		argv []string
		dies bool
	}{
		"OfTheScript":          {bootArgv(nonce), true},
		"OfWhoHasItsNumberNow": {[]string{"sh", "-c", "sleep 100; :"}, false},
	} {
		for shell, argv := range map[string][]string{"sh": {"sh"}, "bash": {"bash"}, "busybox": {"busybox", "sh"}} {
			t.Run(name+"/"+shell, func(t *testing.T) {
				if _, err := osexec.LookPath(argv[0]); err != nil {
					t.Skip(err)
				}
				is := is.New(t)
				session := osexec.CommandContext(t.Context(), leader.argv[0], leader.argv[1:]...)
				session.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				stdin, err := session.StdinPipe()
				is.NoErr(err)
				is.NoErr(session.Start())
				defer stdin.Close()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_ = session.Wait()
				}()
				_, _ = io.WriteString(stdin, "sleep 100; :\n"+nonce+"\n")

				boot := bootArgv("KILL")
				kill := osexec.CommandContext(t.Context(), argv[0], append(append([]string(nil), argv[1:]...), boot[1:]...)...)
				kill.Stdin = bytes.NewReader(killInput("KILL", strconv.Itoa(session.Process.Pid), nonce, 0, true))
				out, err := kill.CombinedOutput()
				is.NoErr(err)
				is.True(bytes.HasSuffix(out, []byte("\x1erdev:KILL:gone:\n"))) // it sees nobody any more
				alive := true
				select {
				case <-ended:
					alive = false
				case <-time.After(300 * time.Millisecond):
				}
				is.Equal(alive, !leader.dies)
				_ = syscall.Kill(-session.Process.Pid, syscall.SIGKILL)
				<-ended
			})
		}
	}
}
