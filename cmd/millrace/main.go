// Command millrace is the daemon and everything that one says to it from a shell. It is the only package that knows
// every implementation: config.go reads what the operator wants, build*.go make the parts of it, serve.go lets them run.
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
)

// version is stamped by the linker: -ldflags "-X main.version=v1.2.3".
var version = "dev"

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

// streams is where a command reads and writes.
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
	var exit exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}

func rootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "millrace",
		Short:         "A git push becomes a run: of tasks in Kubernetes or on this machine, told to your forge",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(
		serveCommand(s), checkCommand(s), execCommand(s), explainCommand(s),
		runsCommand(s), logsCommand(s), versionCommand(s), jobCommand(),
	)
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

func versionCommand(s streams) *cobra.Command {
	output := ""
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return printAs(s.out, output, map[string]string{"version": version}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "millrace", version)
				return err
			})
		},
	}
	outputFlag(c, &output)
	return c
}

// noArgs and exactly are cobra's checks as usage errors.
func noArgs(c *cobra.Command, args []string) error { return asUsage(cobra.NoArgs(c, args)) }

func between(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error { return asUsage(cobra.RangeArgs(least, most)(c, args)) }
}

func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usage(err)
}
