package agent

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
)

// sealer seals what an attempt's task sends while it runs: whoever takes it in does not know the job's secrets, and until
// somebody does who hides them, nobody is to read it where it is kept. The key follows from the attempt's token, which no
// store has and every worker can make again: one worker's death takes nothing with it.
func (a *Agent) sealer(at Attempt) (cipher.AEAD, error) {
	key := sha256.Sum256([]byte("millrace outputs of " + a.token(at)))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal seals outputs, each under its name.
func (a *Agent) seal(at Attempt, outputs map[string]string) (map[string]string, error) {
	by, err := a.sealer(at)
	if err != nil {
		return nil, fmt.Errorf("seal outputs: %w", err)
	}
	sealed := make(map[string]string, len(outputs))
	for name, value := range outputs {
		text := by.Seal(nil, nil, []byte(value), []byte(name)) //nolint:gosec // it makes the nonce itself
		sealed[name] = run.Sealed + base64.RawStdEncoding.EncodeToString(text)
	}
	return sealed, nil
}

// unseal is the reverse of seal. What was sealed by an agent with another server.secret_file is left out.
func (a *Agent) unseal(ctx context.Context, at Attempt, outputs map[string]string) map[string]string {
	by, err := a.sealer(at)
	if err != nil {
		return nil
	}
	open := make(map[string]string, len(outputs))
	for name, value := range outputs {
		data, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(value, run.Sealed))
		if err == nil {
			data, err = by.Open(nil, nil, data, []byte(name))
		}
		if err != nil {
			a.cfg.Log.WarnContext(ctx, "output left out that another agent took in: give all the same server.secret_file",
				"run", at.Run, "task", at.Task, "attempt", at.Attempt, "output", name, "err", err)
			continue
		}
		open[name] = string(data)
	}
	return open
}
