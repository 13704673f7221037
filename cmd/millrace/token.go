package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// minSecret is how long the server's secret is at least, in bytes.
const minSecret = 26

// taskTokens makes the tokens of attempts: HMAC-SHA256 of run/task/attempt with the server's secret, in hex. Nothing is
// stored, and every agent that has the same secret knows them.
func taskTokens(secret []byte) func(run, task string, attempt int) string {
	return func(run, task string, attempt int) string {
		return hex.EncodeToString(derived(secret, fmt.Sprintf("task/%s/%s/%d", run, task, attempt)))
	}
}

// instanceID names this Millrace where several may share something: every agent that has the same secret knows it, and
// it tells nothing of the secret.
func instanceID(secret []byte) string { return hex.EncodeToString(derived(secret, "instance"))[:16] }

func derived(secret []byte, what string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(what))
	return mac.Sum(nil)
}

// serverSecret reads the secret of the file, or the one that is made in the data folder.
func serverSecret(file string, data *dataFolder) ([]byte, error) {
	if file == "" {
		text, err := lastingID(filepath.Join(data.path, "secret"))
		return []byte(text), err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("server.secret_file: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < minSecret {
		return nil, errors.New("server.secret_file: it holds fewer than 26 characters: make one with `openssl rand -hex 32`")
	}
	return []byte(secret), nil
}
