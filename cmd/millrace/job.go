package main

import (
	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/runners/local"
)

// jobCommand is the keeper of one local job; see package runners/local. It ignores the signals of a terminal: it ends
// when its job does.
func jobCommand() *cobra.Command {
	return &cobra.Command{
		Use: keeperCommand + " DIR", Hidden: true, Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if code := local.Keep(args[0]); code != 0 {
				return exitError{code: code}
			}
			return nil
		},
	}
}
