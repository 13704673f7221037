package mask

import (
	"encoding/base64"
	"strings"

	"go.yaml.in/yaml/v3"
)

// credentialKeys are the keys under which a kubeconfig (k8s.io/client-go/tools/clientcmd/api/v1) and docker's config.json
// (docker/cli, cli/config/types) hold what nobody may see.
var credentialKeys = map[string]bool{
	"token": true, "password": true, "client-key-data": true, "id-token": true, "refresh-token": true, "access-token": true, "client-secret": true,
	"auth": true, "identitytoken": true, "registrytoken": true,
}

// credentials returns what is secret by itself in a value that is a whole file: tools print it without the rest of its
// line. A value that is no such file has none.
func credentials(value string) []string {
	if !strings.Contains(value, ":") {
		return nil
	}
	var file yaml.Node // JSON is YAML, too. Aliases stay what they are, so it is no larger than value.
	if yaml.Unmarshal([]byte(value), &file) != nil {
		return nil
	}
	return credentialsIn(&file)
}

func credentialsIn(n *yaml.Node) []string {
	var found []string
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && c.Kind == yaml.ScalarNode && credentialKeys[n.Content[i-1].Value] {
			found = append(found, c.Value)
			if n.Content[i-1].Value == "auth" {
				found = append(found, passwordOf(c.Value))
			}
		}
		found = append(found, credentialsIn(c)...)
	}
	return found
}

// passwordOf is what stands in docker's `auth`: the base64 of USER:PASSWORD.
func passwordOf(auth string) string {
	text, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		return ""
	}
	_, password, _ := strings.Cut(string(text), ":")
	return strings.TrimRight(password, "\x00") // docker pads it
}
