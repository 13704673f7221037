package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes. docs/cli.md tells them to users.
const (
	exitFailed  = 1 // it was tried, and the answer is no: a run failed, a file has problems
	exitUsage   = 2 // the command line or the configuration is wrong
	exitNothing = 3 // nothing matched
)

// exitError ends the program with a code of its own. With a nil error there is nothing more to say.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usage marks err as the caller's mistake.
func usage(err error) error { return exitError{exitUsage, err} }

// misused is a mistake on the command line of c.
func misused(c *cobra.Command, err error) error {
	return usage(fmt.Errorf("%w (see `%s --help`)", err, c.CommandPath()))
}

// arguments checks how many arguments a command is given.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if least <= len(args) && len(args) <= most {
			return nil
		}
		form := strings.TrimSuffix(c.UseLine(), " [flags]")
		if len(args) < least {
			return misused(c, fmt.Errorf("an argument is missing: write %s", form))
		}
		return misused(c, fmt.Errorf("%q is too much: write %s", args[most], form))
	}
}
