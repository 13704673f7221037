package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/api"
)

func deadCommand(s streams) *cobra.Command {
	var cl client
	var output *format
	limit := 20
	c := &cobra.Command{
		Use: "dead", Short: "List what was given up, and try it again", Args: arguments(0, 0), GroupID: groupDaemon,
		Long: `Lists what a daemon has given up: deliveries that could not be planned, run
states that the forge could not be told, attempts that could not be brought to
their end. It is kept for 30 days, at most 1,000 items of each line.`,
		Example: "  millrace dead\n  millrace dead retry plan d41d8cd98f00b204e980\n  millrace dead forget report bhfd5xa4oa3o5wkdpt2q",
		RunE: func(c *cobra.Command, _ []string) error {
			return listDead(c.Context(), s, &cl, limit, *output)
		},
	}
	c.Flags().IntVar(&limit, "limit", limit, "at most `N` items")
	cl.flags(c)
	output = formatFlag(c)
	retry := deadVerb(s, http.MethodPost, "/retry")
	retry.Use, retry.Short = "retry LINE ID", "Plan the delivery, or tell the state, after all"
	retry.Example = "  millrace dead retry plan d41d8cd98f00b204e980"
	forget := deadVerb(s, http.MethodDelete, "")
	forget.Use, forget.Short = "forget LINE ID", "Take it off the list"
	forget.Example = "  millrace dead forget work-local mr-bhfd5xa4oa3o5wkdpt2q-1"
	c.AddCommand(retry, forget)
	return c
}

// deadVerb is a command that does something about one item of the list.
func deadVerb(s streams, method, path string) *cobra.Command {
	var cl client
	var output *format
	c := &cobra.Command{
		Args: arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			line, id := args[0], args[1]
			if err := cl.send(c.Context(), method, "/api/v1/dead/"+url.PathEscape(line)+"/"+url.PathEscape(id)+path); err != nil {
				return err
			}
			return output.print(s.out, map[string]string{"line": line, "id": id}, func(io.Writer) error { return nil })
		},
	}
	cl.flags(c)
	output = formatFlag(c)
	return c
}

func listDead(ctx context.Context, s streams, cl *client, limit int, output format) error {
	var page api.Page[api.Dead]
	if err := cl.getJSON(ctx, "/api/v1/dead?limit="+strconv.Itoa(limit), &page); err != nil {
		return err
	}
	return output.print(s.out, page, func(out io.Writer) error {
		if len(page.Items) == 0 {
			_, err := fmt.Fprintln(out, "nothing was given up: all is well")
			return err
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LINE\tID\tWHAT\tGIVEN UP\tTRIES\tWHY")
		for _, d := range page.Items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", d.Line, d.ID, about(d), d.BuriedAt.Time().UTC().Format(time.RFC3339), d.Tries, firstLine(d.Error))
		}
		if err := w.Flush(); err != nil || page.Next == "" {
			return err
		}
		_, err := fmt.Fprintf(out, "and more: --limit has room for %d\n", limit)
		return err
	})
}

// about says what an item is about, in words that people know it by.
func about(d api.Dead) string {
	switch {
	case d.Pipeline == "":
		return "-"
	case d.Task != "":
		return fmt.Sprintf("%s of %s, %s %s", d.Task, d.Pipeline, d.Repo, d.Ref)
	}
	return fmt.Sprintf("%s, %s %s", d.Pipeline, d.Repo, d.Ref)
}

// firstLine is what a table has room for.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
