package kube

import "time"

// Labels of a Job, its pods and its Secret.
const (
	labelRun       = "millrace.dev/run"
	labelTask      = "millrace.dev/task"
	labelAttempt   = "millrace.dev/attempt"
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelInstance  = "millrace.dev/instance"  // which Millrace made it, see Config.Instance
	labelTombstone = "millrace.dev/tombstone" // "true" on what Stop made so that Start makes nothing
	managedBy      = "millrace"               // the value of labelManagedBy
)

// Annotations of a Job. Whoever ends a Job early writes the ended ones.
const (
	noteTimeout   = "millrace.dev/timeout"      // Job.Timeout as Go writes it; absent: none
	noteOutputs   = "millrace.dev/outputs"      // Job.Outputs as JSON; absent: the message is dotenv
	noteEnded     = "millrace.dev/ended"        // the class of runners.Result that it is ended with
	noteEndedAt   = "millrace.dev/ended-at"     // RFC 3339
	noteReason    = "millrace.dev/ended-reason" // one line
	noteStartedAt = "millrace.dev/started-at"   // RFC 3339, when container task started, if that was known
)

// Containers of a pod.
const (
	cloneContainer = "clone"
	taskContainer  = "task"
)

// summaryMark is the line of a termination message behind which the summary begins.
const summaryMark = "# millrace: summary"

// deadlineNet is how much later than a task's timeout the cluster ends its Job when nobody watches.
const deadlineNet = 15 * time.Minute
