package redisq

import (
	_ "embed" // The scripts are files.

	"github.com/redis/go-redis/v9"
)

const (
	group = "workers"
	// freeHolder is the consumer that holds the entries which were returned. No worker may bear its name.
	freeHolder = "(free)"
)

//go:embed held.lua
var heldSource string

//go:embed push.lua
var pushSource string

//go:embed lease.lua
var leaseSource string

//go:embed renew.lua
var renewSource string

//go:embed ack.lua
var ackSource string

//go:embed return.lua
var returnSource string

//go:embed bury.lua
var burySource string

//go:embed forget.lua
var forgetSource string

//go:embed len.lua
var lenSource string

//go:embed sweep.lua
var sweepSource string

var (
	pushScript   = script(pushSource)
	leaseScript  = script(leaseSource)
	renewScript  = script(renewSource)
	ackScript    = script(ackSource)
	returnScript = script(returnSource)
	buryScript   = script(burySource)
	forgetScript = script(forgetSource)
	lenScript    = script(lenSource)
	sweepScript  = script(sweepSource)
)

// script gives a script the names that it shares with the Go side and with the other scripts.
func script(source string) *redis.Script {
	return redis.NewScript("local GROUP, FREE = '" + group + "', '" + freeHolder + "'\n" + heldSource + source)
}
