// Command millrace is the daemon and everything that one says to it from a shell. It is the only package that knows
// every implementation: package config reads what the operator wants, build*.go make the parts of it, serve.go lets them run.
// Nothing calls it but people and scripts; it decides nothing about events, runs or jobs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/param"
)

// version is stamped by the linker: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// streams is where a command writes.
type streams struct {
	out, err io.Writer
}

func main() { os.Exit(Main(os.Args[1:], streams{os.Stdout, os.Stderr})) }

// Main runs one command and returns its exit code. The first SIGTERM or interrupt asks it to end, a second ends it.
func Main(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := rootCommand(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintln(s.err, "millrace:", msg)
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		return exit.code
	}
	return exitFailed
}

// The groups of the root's help.
const (
	groupHere   = "here"
	groupDaemon = "daemon"
)

func rootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:                   "millrace",
		Short:                 "A git push becomes a run, and the forge is told how it went",
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		Args:                  knownCommand,
		RunE:                  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(misused)
	root.AddGroup(&cobra.Group{ID: groupHere, Title: "For a working tree:"}, &cobra.Group{ID: groupDaemon, Title: "The daemon, and what to ask it:"})
	root.AddCommand(
		checkCommand(s), explainCommand(s), execCommand(s),
		serveCommand(s), imagesCommand(s), runsCommand(s), logsCommand(s), deadCommand(s), replayCommand(s),
		versionCommand(s), jobCommand(),
	)
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// knownCommand refuses what follows `millrace` and is none of its commands, and names the nearest.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return misused(root, fmt.Errorf("unknown command %q%s", args[0], param.DidYouMean(args[0], names)))
}

func versionCommand(s streams) *cobra.Command {
	var output *format
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: arguments(0, 0),
		Example: "  millrace version\n  millrace version -o json",
		RunE: func(*cobra.Command, []string) error {
			return output.print(s.out, map[string]string{"version": version}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "millrace", version)
				return err
			})
		},
	}
	output = formatFlag(c)
	return c
}
