package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/api"
)

func replayCommand(s streams) *cobra.Command {
	var cl client
	var output *format
	var dry bool
	var rev string
	c := &cobra.Command{
		Use: "replay DELIVERY", Short: "Have a delivery planned again", Args: arguments(1, 1), GroupID: groupDaemon,
		Long: `Has a stored delivery planned again, as a new event with an id of its own: what
matched then and does now runs once more. --dry says what would run, and runs
nothing. --at plans it at another revision of its repository: a branch, a tag,
or a commit that is the tip of one or that a run was of.`,
		Example: `  millrace replay dhl7ym2aa2jtqczxl
  millrace replay dhl7ym2aa2jtqczxl --dry
  millrace replay dhl7ym2aa2jtqczxl --at release/2`,
		RunE: func(c *cobra.Command, args []string) error {
			query := url.Values{}
			if dry {
				query.Set("dry", "true")
			}
			if rev != "" {
				query.Set("ref", rev)
			}
			path := "/api/v1/deliveries/" + url.PathEscape(args[0]) + "/replay?" + query.Encode()
			var r api.Replay
			if err := cl.askJSON(c.Context(), http.MethodPost, path, &r); err != nil {
				return err
			}
			return output.print(s.out, r, func(out io.Writer) error { return replayText(out, r) })
		},
	}
	c.Flags().BoolVar(&dry, "dry", false, "say what would run, and run nothing")
	c.Flags().StringVar(&rev, "at", "", "`REVISION` to plan it at (default its own)")
	cl.flags(c)
	output = formatFlag(c)
	return c
}

func replayText(out io.Writer, r api.Replay) error {
	if !r.Dry {
		_, err := fmt.Fprintf(out, "%s is replayed as %s\n%s\n", r.Of, r.Delivery, r.URL)
		return err
	}
	fmt.Fprintf(out, "%s, %s at %.12s\n", r.Repo, r.Ref, r.Commit)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range r.Explanations {
		verdict := "no"
		if e.Matched {
			verdict = "RUNS"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", verdict, e.Pipeline, e.File, e.Reason)
		for _, would := range r.Runs {
			if would.File == e.File {
				wouldDo(w, would)
			}
		}
	}
	return w.Flush()
}

// wouldDo says what a run that does not exist would do, in the column of its reason.
func wouldDo(w io.Writer, r api.Run) {
	if r.Lane != nil {
		fmt.Fprintf(w, "\t\t\tin lane %q\n", r.Lane.Group)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "\t\t\t%s\n", p)
	}
	for _, s := range r.Stages {
		var tasks []string
		for _, t := range s.Tasks {
			tasks = append(tasks, t.Name)
		}
		fmt.Fprintf(w, "\t\t\t%s: %s\n", s.Name, strings.Join(tasks, ", "))
	}
}
