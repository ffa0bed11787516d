//go:build !linux

package needs

import (
	"errors"
	"os/exec"
)

// startTied refuses: without a way to tie a process to this one, an emulator would be left behind by a killed test.
func startTied(*exec.Cmd) (exited <-chan struct{}, err error) {
	return nil, errors.New("only Linux ends a child with its parent: start the emulator by hand and name its host:port")
}
