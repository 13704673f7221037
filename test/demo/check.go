package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/millrace-ci/millrace/test/giteatest"
)

// check looks at what came of the push from outside, as Gitea's users and a browser would, and prints what it found.
func check(ctx context.Context, forge *giteatest.Server, d *daemon, commit string) error {
	statuses := forge.Statuses(owner, name, commit)
	if len(statuses) == 0 || statuses[0].Context != "millrace/build" || statuses[0].State != "success" {
		return fmt.Errorf("the commit's newest status is not success: %+v", statuses)
	}
	page, err := get(ctx, statuses[0].TargetURL)
	if err != nil {
		return err
	}
	if !strings.Contains(page, "a loaf of GOOD MORNING, for commit "+commit) {
		return errors.New("the run's page does not show the log of its last task")
	}
	fmt.Printf("\nThe status says: %s\n", statuses[0].Description)
	return checkExplanations(ctx, d)
}

// checkExplanations prints why each pipeline did or did not run.
func checkExplanations(ctx context.Context, d *daemon) error {
	var deliveries struct{ Items []struct{ ID, State string } }
	if err := getJSON(ctx, d.url+"/api/v1/deliveries", &deliveries); err != nil {
		return err
	}
	var planned []string
	for _, one := range deliveries.Items {
		if one.State == "planned" {
			planned = append(planned, one.ID)
		}
	}
	if len(planned) != 1 {
		return fmt.Errorf("%d deliveries are planned, not 1: %+v", len(planned), deliveries.Items)
	}
	var delivery struct {
		Explanations []struct {
			Pipeline, Reason, Run string
			Matched               bool
		}
	}
	if err := getJSON(ctx, d.url+"/api/v1/deliveries/"+planned[0], &delivery); err != nil {
		return err
	}
	fmt.Printf("\nWhy:\n")
	runs := 0
	for _, e := range delivery.Explanations {
		mark := "-"
		if e.Matched {
			mark, runs = "+", runs+1
		}
		fmt.Printf("  %s %-8s %s\n", mark, e.Pipeline, e.Reason)
	}
	if len(delivery.Explanations) != 3 || runs != 1 {
		return fmt.Errorf("%d explanations and %d runs, not 3 and 1", len(delivery.Explanations), runs)
	}
	return nil
}

func getJSON(ctx context.Context, url string, v any) error {
	text, err := get(ctx, url)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, res.Status, body)
	}
	return string(body), err
}
