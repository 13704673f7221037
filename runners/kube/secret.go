package kube

import (
	"bytes"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/runners"
)

// Keys of the attempt's Secret. What the task is given has its number before its name.
const (
	passwordKey = "source.password"
	keyKey      = "source.key"
	hostsKey    = "source.known_hosts"
)

// What the entries of a key for ssh are called where it is kept.
const hostsName = "known_hosts"

var keyNames = []string{"ssh-privatekey", "id_rsa"}

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
// has the job's name and no owner yet. Errors: ErrRefused for what is not there.
func (c Config) attemptSecret(job runners.Job) (*corev1.Secret, error) {
	if len(attemptKeys(job)) == 0 {
		return nil, nil
	}
	data := map[string][]byte{}
	if hasPassword(job.Source) {
		data[passwordKey] = []byte(job.Source.Password)
	}
	var values []string
	for _, e := range entries(job) {
		value, err := c.kept(e)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", e.secret.Name, err)
		}
		data[e.key] = value
		values = append(values, string(value))
	}
	if err := mask.Check(values...); err != nil {
		return nil, fmt.Errorf("%w: the secrets of the task: %w", runners.ErrRefused, err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: job.ID, Namespace: c.Namespace, Labels: c.labels(job)},
		Immutable:  new(true),
		Data:       data,
	}, nil
}

// kept reads an entry where it is kept, and tells why a task cannot be given it: it could not be hidden, or not be told.
func (c Config) kept(e entry) ([]byte, error) {
	if c.Read == nil {
		return nil, fmt.Errorf("%w: it is kept outside the cluster, and this runner reads none there", runners.ErrRefused)
	}
	kept, err := c.Read(e.secret.From)
	if err != nil {
		return nil, err
	}
	value, found := []byte(nil), false
	for _, name := range e.names {
		if value, found = kept[name]; found {
			break
		}
	}
	name := strings.Join(e.names, " or ")
	switch {
	case !found:
		return nil, fmt.Errorf("%w: it has no entry %s", runners.ErrRefused, name)
	case e.secret.Env != "" && bytes.IndexByte(value, 0) >= 0:
		return nil, fmt.Errorf("%w: its entry %s holds a NUL byte, which no environment can", runners.ErrRefused, name)
	case len(bytes.Trim(value, "\r\n")) < mask.MinValue:
		return nil, fmt.Errorf("%w: its entry %s is shorter than %d bytes and could not be hidden in the log", runners.ErrRefused, name, mask.MinValue)
	}
	return value, nil
}

// attemptKeys names what attemptSecret holds.
func attemptKeys(job runners.Job) []string {
	var keys []string
	if hasPassword(job.Source) {
		keys = append(keys, passwordKey)
	}
	for _, e := range entries(job) {
		keys = append(keys, e.key)
	}
	return keys
}

// hasPassword tells whether the clone is given a password; one is for http.
func hasPassword(s runners.Source) bool {
	return strings.HasPrefix(s.URL, "http") && s.Password != ""
}
