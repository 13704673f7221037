package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	"github.com/millrace-ci/millrace/runners/local"
)

// keeperCommand is the hidden command that keeps one job of a local runner.
const keeperCommand = "_job"

// runnerBuilder makes the configured runners. Those of one cluster share what is known of it.
type runnerBuilder struct {
	cfg      *config.Config
	data     *dataFolder
	instance string
	log      *slog.Logger
	clusters map[kube.ClusterConfig]*kube.Cluster
}

// runnerKinds is the table of runners: to add one, add its line.
var runnerKinds = map[string]func(*runnerBuilder, config.Runner) (agent.Runner, error){
	"local": (*runnerBuilder).local,
	"kube":  (*runnerBuilder).kube,
}

// rendererKinds is what says what jobs of a runner become, of each kind that can.
var rendererKinds = map[string]func(*config.Config, config.Runner) runners.Renderer{
	"local": func(*config.Config, config.Runner) runners.Renderer { return local.Config{Read: readKept} },
	"kube":  func(c *config.Config, r config.Runner) runners.Renderer { return kubeConfig(c, r) },
}

// buildRunners makes the configured runners, and what lets them watch: run blocks until its context ends.
func buildRunners(c *config.Config, data *dataFolder, instance string, log *slog.Logger) (all map[string]agent.Runner, run func(context.Context) error, err error) {
	b := &runnerBuilder{c, data, instance, log, map[kube.ClusterConfig]*kube.Cluster{}}
	all = map[string]agent.Runner{}
	for _, r := range c.Runners {
		made, err := runnerKinds[r.Kind](b, r)
		if err != nil {
			return nil, nil, fmt.Errorf("runners: %s: %w", r.Name, err)
		}
		made.Kind, made.Capacity = r.Kind, r.Capacity
		all[r.Name] = made
	}
	return all, b.watch, nil
}

// local makes a runner whose line bears the data folder's id, so that no other host leases what can only be joined here.
func (b *runnerBuilder) local(r config.Runner) (agent.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return agent.Runner{}, fmt.Errorf("find this program: %w", err)
	}
	made, err := local.New(local.Config{
		Dir: filepath.Join(b.cfg.Data, "jobs", r.Name), Command: []string{self, keeperCommand}, Read: readKept, Log: b.log,
	})
	return agent.Runner{Line: r.Name + "-" + b.data.id, Runner: made}, err
}

// kube makes a runner whose line every agent shares: any of them can join what runs in a cluster.
func (b *runnerBuilder) kube(r config.Runner) (agent.Runner, error) {
	cluster, err := b.cluster(kube.ClusterConfig{Kubeconfig: r.Kubeconfig, Context: r.Context, QPS: r.QPS, Log: b.log})
	if err != nil {
		return agent.Runner{}, err
	}
	cfg := kubeConfig(b.cfg, r)
	cfg.Cluster, cfg.Instance, cfg.Log = cluster, b.instance, b.log
	made, err := kube.New(cfg)
	return agent.Runner{Line: r.Name, Runner: made}, err
}

// kube is how a runner of kind kube is set up, but for its cluster.
func kubeConfig(c *config.Config, r config.Runner) kube.Config {
	p := r.Policy
	cfg := kube.Config{
		Namespace: r.Namespace, GitImage: cmp.Or(c.Images.Git, kube.DefaultGit), Mirrors: c.Images.Mirrors, Read: readKept,
		Policy: kube.Policy{
			ServiceAccounts: p.ServiceAccounts, NodeSelector: p.NodeSelector, Tolerations: p.Tolerations,
			Max: kube.Resources(p.Max), Default: kube.Resources(p.Default), PodSecurity: p.PodSecurity,
		},
		PendingTimeout: r.PendingTimeout,
	}
	for _, one := range c.Registries {
		cfg.Registries = append(cfg.Registries, kube.Registry{Host: one.Host, PullSecret: one.PullSecret})
	}
	return cfg
}

// cluster is one for all runners that reach it the same way. They agree on how often it is called: see config.Config.
func (b *runnerBuilder) cluster(cfg kube.ClusterConfig) (*kube.Cluster, error) {
	if known, ok := b.clusters[cfg]; ok {
		return known, nil
	}
	made, err := kube.NewCluster(cfg)
	if err == nil {
		b.clusters[cfg] = made
	}
	return made, err
}

// watch lets every cluster be watched until ctx ends.
func (b *runnerBuilder) watch(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, cluster := range b.clusters {
		g.Go(func() error { return cluster.Run(ctx) })
	}
	return g.Wait()
}
