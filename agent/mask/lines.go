package mask

import (
	"regexp"
	"strings"
)

// linesOf returns the lines of a value that are hidden by themselves too, without the space around them, since tools
// indent lines and change their ends. A line is hidden unless it surely is structure, which says nothing and stands in
// other texts as well. Structure is
//
//   - a border of PEM: -----BEGIN PRIVATE KEY-----,
//   - a key of YAML or JSON without a value, or with one that is empty or in the lines below: `- cluster:`, `"auths": {`,
//     `key: |`, `email: ""`, `preferences: {}`,
//   - a key with true, false or a number of at most three digits, unless the key speaks of a secret: so `replicas: 3` is
//     structure, and `password: 123` is not,
//   - the name of a thing, by its key: `kind: Config`, `namespace: ci`; see names.
//
// All else is hidden, however short: the last line of a key, KEY=value of dotenv, `password: hunter2`. The limits: what is
// kept under the key of a name is shown where the value is printed line by line, and a line that no rule knows
// (`image: alpine`) is hidden in other texts too. A value of one line is always hidden.
func linesOf(value string) []string {
	var lines []string
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= MinValue && !structure(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

var (
	border = regexp.MustCompile(`^-----(BEGIN|END) [A-Z0-9 ]+-----$`)
	// entry is a key of YAML or JSON, and its value.
	entry = regexp.MustCompile(`^(?:- +)*(["']?)([A-Za-z0-9_][A-Za-z0-9_./-]*)(["']?):(?: +(.*?))?,?$`)
	// empty is no value, or one that is in the lines below.
	empty = regexp.MustCompile(`^([{\[|>]|[|>][+-]|\{\}|\[\]|""|''|null|~)?$`)
	// plain is a value that says nothing, unless its key does.
	plain = regexp.MustCompile(`^(true|false|[0-9]{1,3})$`)
	// secretKey is a key under which nothing is shown.
	secretKey = regexp.MustCompile(`(?i)pass|secret|token|key|auth|cred|pin$|pwd`)
	// name is a value that can be the name of a thing.
	name = regexp.MustCompile(`^["']?[A-Za-z0-9_.@:/-]{1,63}["']?$`)
)

// names are the keys of names: those that every object of Kubernetes has, and those by which a kubeconfig
// (k8s.io/client-go/tools/clientcmd/api/v1) ties its parts together.
var names = map[string]bool{
	"apiVersion": true, "kind": true, "name": true, "namespace": true,
	"cluster": true, "context": true, "current-context": true, "user": true,
}

// structure tells whether a line, without the space around it, says nothing of a secret.
func structure(line string) bool {
	if border.MatchString(line) {
		return true
	}
	m := entry.FindStringSubmatch(line)
	if len(m) == 0 || m[1] != m[3] {
		return false
	}
	key, value := m[2], m[4]
	return empty.MatchString(value) || plain.MatchString(value) && !secretKey.MatchString(key) || names[key] && name.MatchString(value)
}
