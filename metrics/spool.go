package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Spool says what this process's spool holds, and counts what goes through it.
type Spool struct {
	deliveries, bytes, since prometheus.Gauge
	through                  *prometheus.CounterVec
}

// NewSpool registers the spool's numbers.
func NewSpool(reg prometheus.Registerer) *Spool {
	s := &Spool{
		deliveries: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_spool_deliveries", Help: "Deliveries on this process's disk that are not in Redis yet."}),
		bytes:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_spool_bytes", Help: "Bytes that the spool takes on this process's disk, with what was set aside as damaged."}),
		since:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_spool_since_timestamp_seconds", Help: "When the first delivery came that the spool holds, in Unix time; 0 while it is empty."}),
		through: counter(reg, "millrace_spooled_total", "Deliveries that came to the spool, by what became of them.", "outcome",
			"spooled", "refused", "drained", "damaged", "torn"),
	}
	reg.MustRegister(s.deliveries, s.bytes, s.since)
	return s
}

// Holds says what is on the disk; since is the zero time while it holds no delivery.
func (s *Spool) Holds(deliveries int, bytes int64, since time.Time) {
	s.deliveries.Set(float64(deliveries))
	s.bytes.Set(float64(bytes))
	at := 0.0
	if !since.IsZero() {
		at = float64(since.UnixMilli()) / 1000
	}
	s.since.Set(at)
}

// Spooled counts one delivery: outcome is spooled (on the disk), refused (the spool is full or the disk fails), drained
// (handed on), damaged (lost on the disk) or torn (cut short before anybody was told that it was kept).
func (s *Spool) Spooled(outcome string) { s.through.WithLabelValues(outcome).Inc() }
