package runners

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// JobID names an attempt: mr-<run>-<attempt>-<task cut to 24>-<6 of its hash>. With a run id of 20 characters and a
// task of [a-z0-9-]{1,40} it is a DNS label (RFC 1123, at most 63 characters) for attempts up to 9999.
func JobID(run string, attempt int, task string) string {
	sum := sha256.Sum256([]byte(task))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:6])
	return fmt.Sprintf("mr-%s-%d-%s-%s", run, attempt, task[:min(len(task), 24)], hash)
}
