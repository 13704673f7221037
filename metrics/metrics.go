// Package metrics is every number that Millrace publishes: one file and one type per room, with a method for each thing
// that can happen there. It imports nothing of the house; rooms are handed their type and call its verbs. A label never
// holds a repository, branch, commit or user, and label sets that are known are created at the start, so that rates
// exist from the first scrape. docs/metrics.md lists them all.
package metrics

import "github.com/prometheus/client_golang/prometheus"

// latency suits what should take milliseconds, in seconds.
var latency = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// duration suits what people wait for, in seconds.
var duration = []float64{.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200}

// counter makes and registers a counter, and one child for each value of the single label that is known already.
func counter(reg prometheus.Registerer, name, help, label string, values ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	for _, v := range values {
		c.WithLabelValues(v)
	}
	reg.MustRegister(c)
	return c
}

// histogram makes and registers a histogram without labels.
func histogram(reg prometheus.Registerer, name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	reg.MustRegister(h)
	return h
}
