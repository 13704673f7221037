package triggers

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxSendings is how often a delivery is sent at most, by the forge itself and because we asked for it.
const maxSendings = 5

// Sending is one time that a forge sent a delivery to our hook, as the forge lists it.
type Sending struct {
	ID      int64     // of this sending
	Key     string    // of the delivery, see Heading
	Acts    bool      // see Heading
	Arrived bool      // it was answered with success
	At      time.Time // zero where the forge does not say
}

// Missed picks from sendings, the newest first, those that should be asked for again: the newest of each delivery that
// Parse can act on, and that never arrived in fewer than 5 sendings. They come back the oldest first, in the order in
// which things happened.
func Missed(sendings []Sending) []Sending {
	count, arrived := map[string]int{}, map[string]bool{}
	for _, s := range sendings {
		count[s.Key]++
		arrived[s.Key] = arrived[s.Key] || s.Arrived
	}
	var missed []Sending
	for _, s := range sendings {
		if s.Acts && !arrived[s.Key] && count[s.Key] < maxSendings {
			missed = append(missed, s)
		}
		arrived[s.Key] = true // Its newest sending is dealt with.
	}
	slices.Reverse(missed)
	return missed
}

// Hears tells whether a hook that sends to address is ours, that is: of this forge at some Millrace. Another Millrace
// takes for a duplicate what it is sent again.
func (c ForgeConfig) Hears(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/hooks/"+c.Name)
}
