package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/run"
)

func runsCommand(s streams) *cobra.Command {
	var cl client
	var output *format
	limit := 20
	filters := map[string]*string{}
	c := &cobra.Command{
		Use: "runs [ID]", Short: "List runs, or show one", Args: arguments(0, 1), GroupID: groupDaemon,
		Long: `Lists the runs of a daemon, newest first, or shows one: what it came from, what
it waits for and behind which run, its stages and tasks with the attempts of
those that were retried, and what the forge was told of it.`,
		Example: `  millrace runs --repo shop/api --state failed
  millrace runs bhfd5xa4oa3o5wkdpt2q
  millrace runs -o json --server http://127.0.0.1:8080`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return showRun(c.Context(), s, &cl, args[0], *output)
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range filters {
				if *value != "" {
					query.Set(name, *value)
				}
			}
			return listRuns(c.Context(), s, &cl, query, *output)
		},
	}
	for _, name := range []string{"repo", "branch", "pipeline", "state", "commit"} {
		filters[name] = c.Flags().String(name, "", "only runs with this `"+strings.ToUpper(name)+"`")
	}
	c.Flags().IntVar(&limit, "limit", limit, "at most `N` runs")
	cl.flags(c)
	output = formatFlag(c)
	return c
}

func listRuns(ctx context.Context, s streams, cl *client, query url.Values, output format) error {
	var page api.Page[api.Run]
	if err := cl.getJSON(ctx, "/api/v1/runs?"+query.Encode(), &page); err != nil {
		return err
	}
	return output.print(s.out, page, func(out io.Writer) error {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RUN\tSTATE\tPIPELINE\tREPO\tREF\tCOMMIT\tTOOK")
		for _, r := range page.Items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.8s\t%s\n", r.ID, r.State, r.Pipeline, r.Repo, r.Ref, r.Commit, took(r.StartedAt.Time(), r.EndedAt.Time()))
		}
		return w.Flush()
	})
}

func showRun(ctx context.Context, s streams, cl *client, id string, output format) error {
	var r api.Run
	if err := cl.getJSON(ctx, "/api/v1/runs/"+url.PathEscape(id), &r); err != nil {
		return err
	}
	return output.print(s.out, r, func(out io.Writer) error {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		runHead(w, r)
		for _, stage := range r.Stages {
			fmt.Fprintf(w, "\n%s\n", stage.Name)
			for _, t := range stage.Tasks {
				fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", t.Name, stateOf(t), took(t.StartedAt.Time(), t.EndedAt.Time()), whyOf(t))
				for _, a := range t.Attempts {
					fmt.Fprintf(w, "    attempt %d\t%s\t%s\t%s\n", a.Attempt, a.Class, took(a.StartedAt.Time(), a.EndedAt.Time()), a.Reason)
				}
			}
		}
		if err := w.Flush(); err != nil { // what follows has columns of its own width
			return err
		}
		tellings(w, r.Tellings)
		return w.Flush()
	})
}

// runHead says how a run is, and what it came from.
func runHead(w io.Writer, r api.Run) {
	fmt.Fprintf(w, "%s\t%s  %s\n", r.Pipeline, r.State, r.Reason)
	fmt.Fprintf(w, "commit\t%.12s of %s, %s by %s\n", r.Commit, r.Repo, r.Ref, r.Actor)
	fmt.Fprintf(w, "cause\t%s\n", causeOf(r))
	if l := r.Lane; l != nil && l.Position > 0 {
		fmt.Fprintf(w, "lane\t%q: number %d of %d that wait, behind run %s\n", l.Group, l.Position, l.Waiting, l.Before)
		if l.StartsAt != nil {
			fmt.Fprintf(w, "\tstarts in about %s, by how long earlier runs took\n", roughly(time.Until(l.StartsAt.Time())))
		}
	}
	fmt.Fprintf(w, "page\t%s\n", r.URL)
	if r.Status != nil && r.Status.Error != "" {
		fmt.Fprintf(w, "status\tNOT told: %s\n", firstLine(r.Status.Error))
		fmt.Fprintf(w, "\twhen that is mended: millrace dead retry report %s\n", r.ID)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "problem\t%s\n", p)
	}
}

// tellings says who was told what, and what came of it, the newest first.
func tellings(w io.Writer, all []api.Telling) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\ntold")
	for _, t := range all {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", t.At.Time().UTC().Format(time.RFC3339), t.Context, t.State, time.Duration(t.TookMS)*time.Millisecond, answerTo(t))
	}
}

// answerTo is what came of a telling.
func answerTo(t api.Telling) string {
	answer := t.Answer
	switch {
	case t.Again:
		answer = "failed, and is tried again: " + firstLine(t.Error)
	case t.Error != "":
		answer = "given up: " + firstLine(t.Error)
	}
	if t.Status != 0 {
		answer = strings.TrimSpace(strconv.Itoa(t.Status) + " " + answer)
	}
	if t.Tries > 1 {
		answer += fmt.Sprintf(" (try %d)", t.Tries)
	}
	return answer
}

// causeOf says what a run came from.
func causeOf(r api.Run) string {
	switch {
	case r.Cause.Kind == "replay":
		return fmt.Sprintf("replay of delivery %s, kept as %s", r.Cause.ID, r.Delivery)
	case r.Recovered:
		return fmt.Sprintf("%s, recovered: no delivery told of it, kept as %s", r.Trigger, r.Delivery)
	}
	return fmt.Sprintf("%s, delivery %s", r.Trigger, r.Delivery)
}

// whyOf is a task's reason, and for how long it waits.
func whyOf(t api.Task) string {
	if t.DueAt == nil {
		return t.Reason
	}
	return fmt.Sprintf("%s; next at %s", t.Reason, t.DueAt.Time().UTC().Format("15:04:05 UTC"))
}

// stateOf is a task's state, in the words of exec.
func stateOf(t api.Task) string {
	if t.State == run.Failed && t.IgnoreFailed {
		return ignoredFailure
	}
	return string(t.State)
}

// took is how long something took, or takes until now, to a tenth of a second.
func took(from, to time.Time) string {
	if from.IsZero() {
		return "-"
	}
	if to.IsZero() {
		to = time.Now()
	}
	return to.Sub(from).Round(100 * time.Millisecond).String()
}

// roughly is a time to come, no more exact than a guess is.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Round(time.Minute)/time.Minute))
	}
	return fmt.Sprintf("%.1f hours", d.Hours())
}
