// Package chaos tries the house's promise: rounds of pushes while agents, Redis, the way to it and the forge are killed,
// held, spoiled and brought back at random, and a look afterwards at what every push became. It has nothing but tests,
// behind the tag chaos; `make chaos` runs them. A round is made of its seed, see docs/proof.md.
package chaos
