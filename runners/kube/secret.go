package kube

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/runners"
)

// Keys of the attempt's Secret. What the task is given has its number before its name.
const (
	credentialKey = "source.credential" //nolint:gosec // The name of an entry, not one.
	keyKey        = "source.key"
	hostsKey      = "source.known_hosts"
)

// What the entries of a key for ssh are called where it is kept.
const hostsName = "known_hosts"

var keyNames = []string{"ssh-privatekey", "id_rsa"}

// maxKept bounds the bytes of a secret's file at the host.
const maxKept = corev1.MaxSecretSize

// entry is one entry of a secret that is kept here and goes to the cluster in the attempt's Secret.
type entry struct {
	secret runners.Secret
	names  []string // by its keeper: the first that is there
	key    string   // in the attempt's Secret
}

// entries are those that the attempt's Secret holds, but for the clone's password.
func entries(job runners.Job) []entry {
	var all []entry
	for i, s := range job.Secrets {
		if s.From.Kubernetes == "" {
			all = append(all, entry{s, []string{s.Key}, keyOf(s, i)})
		}
	}
	if key := job.Source.Key; key != nil && key.From.Kubernetes == "" {
		all = append(all, entry{*key, keyNames, keyKey}, entry{*key, []string{hostsName}, hostsKey})
	}
	return all
}

// attemptSecret is the Secret that carries what is kept at this host to the job's pod, nil when the job needs none. It
// has the job's name and no owner yet. Errors: ErrRefused for what the secrets' keepers do not have.
func (c Config) attemptSecret(job runners.Job, read func(runners.Keeper) (map[string][]byte, error)) (*corev1.Secret, error) {
	if len(attemptKeys(job)) == 0 {
		return nil, nil
	}
	data := map[string][]byte{}
	if hasCredential(job.Source) {
		data[credentialKey] = fmt.Appendf(nil, "username=%s\npassword=%s\n", job.Source.Username, job.Source.Password)
	}
	for _, e := range entries(job) {
		kept, err := read(e.secret.From)
		if err != nil {
			return nil, fmt.Errorf("read secret %s: %w", e.secret.Name, err)
		}
		i := slices.IndexFunc(e.names, func(name string) bool { return kept[name] != nil })
		if i < 0 {
			return nil, fmt.Errorf("%w: secret %s has no entry %s", runners.ErrRefused, e.secret.Name, strings.Join(e.names, " or "))
		}
		data[e.key] = kept[e.names[i]]
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: job.ID, Namespace: c.Namespace, Labels: labels(job)},
		Immutable:  new(true),
		Data:       data,
	}, nil
}

// attemptKeys names what attemptSecret holds.
func attemptKeys(job runners.Job) []string {
	var keys []string
	if hasCredential(job.Source) {
		keys = append(keys, credentialKey)
	}
	for _, e := range entries(job) {
		keys = append(keys, e.key)
	}
	return keys
}

// hasCredential tells whether the clone is given a name and a password; those are for http.
func hasCredential(s runners.Source) bool {
	return strings.HasPrefix(s.URL, "http") && s.Password != ""
}

// readKeeper reads what is kept at this host. Errors: ErrRefused where the operator has to mend something.
func readKeeper(k runners.Keeper) (map[string][]byte, error) {
	if k.File == "" {
		kept := map[string][]byte{}
		for _, name := range k.Env {
			if value, ok := os.LookupEnv(name); ok {
				kept[name] = []byte(value)
			}
		}
		return kept, nil
	}
	file, err := os.Open(k.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its file is not there: %w", runners.ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKept+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKept {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", runners.ErrRefused, k.File, maxKept)
	}
	values, err := runners.ParseOutputs(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", runners.ErrRefused, k.File, err)
	}
	kept := map[string][]byte{}
	for name, value := range values {
		kept[name] = []byte(value)
	}
	return kept, nil
}
