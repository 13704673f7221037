package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Queue counts what happens to the items of all queues of this process. Labels name the queue's kind, never its line.
type Queue struct {
	leased, reclaimed, lost, buried *prometheus.CounterVec
	waited                          *prometheus.HistogramVec
}

// NewQueue registers the queues' numbers. kinds are plan, work, report and reap.
func NewQueue(reg prometheus.Registerer, kinds ...string) *Queue {
	q := &Queue{
		leased:    counter(reg, "millrace_queue_leased_total", "Items leased, by queue.", "queue", kinds...),
		reclaimed: counter(reg, "millrace_queue_reclaimed_total", "Items leased again because their lease ran out, by queue.", "queue", kinds...),
		lost:      counter(reg, "millrace_queue_leases_lost_total", "Leases found lost by their holder, by queue.", "queue", kinds...),
		buried:    counter(reg, "millrace_queue_buried_total", "Items given up and put in the list of the dead, by queue.", "queue", kinds...),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_queue_wait_seconds", Help: "Time from an item's push to its first lease, by queue.", Buckets: latency,
		}, []string{"queue"}),
	}
	reg.MustRegister(q.waited)
	for _, k := range kinds {
		q.waited.WithLabelValues(k)
	}
	return q
}

// Leased records one item handed out; tries counts from 1, waited is since its push.
func (q *Queue) Leased(queue string, tries int, waited time.Duration) {
	q.leased.WithLabelValues(queue).Inc()
	if tries == 1 {
		q.waited.WithLabelValues(queue).Observe(waited.Seconds())
	}
}

// Reclaimed counts an item taken over from a holder whose lease ran out.
func (q *Queue) Reclaimed(queue string) { q.reclaimed.WithLabelValues(queue).Inc() }

// LeasesLost counts leases that their holder found lost.
func (q *Queue) LeasesLost(queue string, n int) { q.lost.WithLabelValues(queue).Add(float64(n)) }

// Buried counts an item that was given up.
func (q *Queue) Buried(queue string) { q.buried.WithLabelValues(queue).Inc() }
