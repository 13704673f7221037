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

	"github.com/millrace-ci/millrace/cmd/millrace/config"
)

// minSecret is how long the server's secret is at least, in bytes.
const minSecret = 26

// taskTokens makes the tokens of attempts: HMAC-SHA256 of run/task/attempt with the server's secret, in hex. Nothing is
// stored, and every agent that has the same secret knows them.
func taskTokens(c *config.Config, data *dataFolder) (func(run, task string, attempt int) string, error) {
	secret, err := serverSecret(c.Server.SecretFile, data)
	if err != nil {
		return nil, err
	}
	return func(run, task string, attempt int) string {
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "task/%s/%s/%d", run, task, attempt) // a hash takes everything
		return hex.EncodeToString(mac.Sum(nil))
	}, nil
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
