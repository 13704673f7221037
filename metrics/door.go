package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Door counts what arrives at the webhook door.
type Door struct {
	deliveries *prometheus.CounterVec
	seconds    prometheus.Histogram
}

// NewDoor registers the door's numbers. forges are the configured names.
func NewDoor(reg prometheus.Registerer, forges ...string) *Door {
	d := &Door{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_deliveries_total",
			Help: "Webhook deliveries answered, by forge and answer.",
		}, []string{"forge", "answer"}),
		seconds: histogram(reg, "millrace_delivery_seconds", "Time from a delivery's request to its answer.", latency),
	}
	reg.MustRegister(d.deliveries)
	for _, f := range forges {
		for _, a := range []string{"accepted", "duplicate", "ignored", "refused", "failed"} {
			d.deliveries.WithLabelValues(f, a)
		}
	}
	return d
}

// Answered counts one delivery. answer is accepted, duplicate, ignored, refused (its sender's fault) or failed (ours).
// forge is a configured name.
func (d *Door) Answered(forge, answer string, took time.Duration) {
	d.deliveries.WithLabelValues(forge, answer).Inc()
	d.seconds.Observe(took.Seconds())
}
