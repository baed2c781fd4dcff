package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// How long output may still come after a command has ended, from what it left running.
const lateOutput = time.Second

// executor runs commands in the containers of one namespace.
type executor struct {
	backend   *url.URL
	namespace string
}

// ExecInContainer runs a command until it ends or the client goes; a failed command is a CodeExitError.
func (e executor) ExecInContainer(
	ctx context.Context, pod, _, container string, command []string, in io.Reader, out, problems io.WriteCloser, tty bool,
	sizes <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	entrance, err := e.entrance(ctx, pod, container)
	if err != nil {
		return err
	}
	words := append(entrance, command...)
	process := exec.CommandContext(ctx, words[0], words[1:]...)
	process.WaitDelay = lateOutput
	// What runs in a container gets its environment from there.
	process.Env = []string{}
	if tty {
		return exitError(runInTerminal(process, in, out, sizes))
	}
	// A nil io.WriteCloser in an io.Writer is not nil.
	if in != nil {
		process.Stdin = in
	}
	if out != nil {
		process.Stdout = out
	}
	if problems != nil {
		process.Stderr = problems
	}
	return exitError(process.Run())
}

// entrance asks for the words before a command that make it run in the container.
func (e executor) entrance(ctx context.Context, pod, container string) ([]string, error) {
	place := e.backend.JoinPath("enter", e.namespace, pod, container)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", body)
	}
	var words []string
	if err := json.Unmarshal(body, &words); err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("no way into container %s", container)
	}
	return words, nil
}

// runInTerminal runs a command in a terminal of its own, which has the client's size.
func runInTerminal(process *exec.Cmd, in io.Reader, out io.Writer, sizes <-chan remotecommand.TerminalSize) error {
	terminal, err := pty.Start(process)
	if err != nil {
		return err
	}
	defer terminal.Close()
	go func() {
		for size := range sizes {
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	if out != nil {
		// A terminal whose last process ended gives an error where a file ends.
		_, _ = io.Copy(out, terminal)
	}
	return process.Wait()
}

// exitError is what the protocol reports as the command's exit code.
func exitError(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}
