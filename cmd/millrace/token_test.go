package main

import (
	"strings"
	"testing"
)

// TestInstanceID is the same for all agents of one secret, after a restart too, and another one for another secret.
func TestInstanceID(t *testing.T) {
	t.Parallel()
	data := &dataFolder{path: t.TempDir()}
	secret, err := serverSecret("", data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := serverSecret("", data)
	if err != nil {
		t.Fatal(err)
	}
	id := instanceID(secret)
	if id != instanceID(again) || id == instanceID([]byte("another")) || len(id) != 16 {
		t.Errorf("got %q, after a restart %q, of another %q: want 16 characters, the same, another", id, instanceID(again), instanceID([]byte("another")))
	}
	if strings.HasPrefix(taskTokens(secret)("run", "task", 1), id) {
		t.Error("it is the beginning of a token")
	}
}
