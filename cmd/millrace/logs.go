package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/api"
)

func logsCommand(s streams) *cobra.Command {
	var cl client
	var which logFlags
	c := &cobra.Command{
		Use: "logs ID [TASK]", Short: "Print the log of a run's task, or of all its tasks", Args: arguments(1, 2), GroupID: groupDaemon,
		Long: `Prints the log of a run's task, or of all its tasks. Each line begins with its
time in UTC and the container that wrote it. Of a task that was retried it is
the log of the last attempt, or of the one that --attempt says.`,
		Example: `  millrace logs bhfd5xa4oa3o5wkdpt2q unit -f
  millrace logs bhfd5xa4oa3o5wkdpt2q unit --attempt 1`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return printLog(c.Context(), s, &cl, args[0], args[1], which)
			}
			if which.attempt != 0 {
				return usage(errors.New("--attempt is of one task: write millrace logs ID TASK --attempt N"))
			}
			var r api.Run
			if err := cl.getJSON(c.Context(), "/api/v1/runs/"+url.PathEscape(args[0]), &r); err != nil {
				return err
			}
			for _, stage := range r.Stages {
				for _, t := range stage.Tasks {
					fmt.Fprintf(s.out, "--- %s / %s\n", stage.Name, t.Name)
					if err := printLog(c.Context(), s, &cl, r.ID, t.Name, logFlags{follow: which.follow && !t.State.Final()}); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&which.follow, "follow", "f", false, "go on until the task has ended")
	c.Flags().IntVar(&which.attempt, "attempt", 0, "the task's `N`th attempt, from 1 (default the last)")
	cl.flags(c)
	return c
}

// logFlags say which log of a task is printed.
type logFlags struct {
	follow  bool
	attempt int // 0: the last
}

func (l logFlags) query() string {
	q := url.Values{}
	if l.follow {
		q.Set("follow", "true")
	}
	if l.attempt != 0 {
		q.Set("attempt", strconv.Itoa(l.attempt))
	}
	return "?" + q.Encode()
}

func printLog(ctx context.Context, s streams, cl *client, id, task string, which logFlags) error {
	body, err := cl.get(ctx, "/api/v1/runs/"+url.PathEscape(id)+"/tasks/"+url.PathEscape(task)+"/log"+which.query())
	if err != nil {
		return err
	}
	defer body.Close()
	if !which.follow {
		_, err = io.Copy(s.out, body)
		return err
	}
	return printEvents(s.out, body)
}

// printEvents prints the text of server-sent events until the one that ends them.
func printEvents(out io.Writer, events io.Reader) error {
	const longest = 4 << 20 // a chunk of a log, as JSON
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		if lines.Text() == "event: end" {
			return nil
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var chunk struct{ Text string }
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		fmt.Fprint(out, chunk.Text)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	return fmt.Errorf("the log was cut off before its end: %w", io.ErrUnexpectedEOF)
}
