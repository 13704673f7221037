// Package e2e is the tests of Millrace as a whole on a real Kubernetes: the program as users start it, a git push at one
// end, a commit status at the other, and between them a real Redis, real forges' words, kaniko, kubectl and a registry.
// `make e2e` runs them on the lab (test/lab). There is nothing in it but tests, and they look from outside: over HTTP, at
// the forge, and at the cluster.
package e2e
