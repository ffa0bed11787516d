package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errNotConfirmed says that a person did not agree.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// answerMax bounds what is read of a person's answer, in bytes.
const answerMax = 1 << 10

// confirm shows what will happen, and asks a person to type a word: the organisation's id, so that nobody agrees to another's, or yes. Anything
// else is no, and so is no answer before the context ends. With -yes it only shows.
func (t *tool) confirm(ctx context.Context, what, word string) error {
	fmt.Fprintln(t.err, what)
	if t.yes {
		return nil
	}
	if !t.terminal {
		return fmt.Errorf("%w; standard input is no terminal, so nobody can be asked: look at it, and give -yes", errNotConfirmed)
	}
	fmt.Fprintf(t.err, "Type %s to go on: ", word)
	answered := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(t.in, answerMax)).ReadString('\n')
		if err != nil && line == "" {
			line = "no"
		}
		answered <- strings.TrimSpace(line)
	}()
	select {
	case a := <-answered:
		if a != word {
			return errNotConfirmed
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNotConfirmed, ctx.Err())
	}
}
