package mask_test

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
)

// kubeconfig is one, without its certificates and key.
const kubeconfig = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: https://10.1.2.3:6443
  name: production
contexts:
- context:
    cluster: production
    namespace: shop
    user: deploy@production
  name: deploy
current-context: deploy
kind: Config
preferences: {}
users:
- name: deploy@production
  user:
    client-certificate-data: %s
    client-key-data: %s
`

// TestLines prints values of several lines line by line, as cat does, indented as YAML would have them: what is secret
// is hidden, and what is structure is shown, there and in other texts.
func TestLines(t *testing.T) {
	t.Parallel()
	const last = "Zm8="
	pem := "-----BEGIN RSA PRIVATE KEY-----\n" + inLines(rand.New(rand.NewPCG(1, 1)), 480) + last + "\n-----END RSA PRIVATE KEY-----\n"
	hidden := func(n int) string { return strings.Repeat("***\n", n) }
	for name, c := range map[string]struct{ value, want string }{
		"PEM": {pem, "-----BEGIN RSA PRIVATE KEY-----\n" + hidden(11) + "-----END RSA PRIVATE KEY-----\n"},
		"PEM of Windows": {
			strings.ReplaceAll("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nab==\n-----END OPENSSH PRIVATE KEY-----\n", "\n", "\r\n"),
			strings.ReplaceAll("-----BEGIN OPENSSH PRIVATE KEY-----\n***\n***\n-----END OPENSSH PRIVATE KEY-----\n", "\n", "\r\n"),
		},
		"kubeconfig": {
			strings.NewReplacer("%s", base64.StdEncoding.EncodeToString([]byte(pem))).Replace(kubeconfig) + "    token: abcd\n",
			`apiVersion: v1
clusters:
- cluster:
    ***
    ***
  name: production
contexts:
- context:
    cluster: production
    namespace: shop
    user: deploy@production
  name: deploy
current-context: deploy
kind: Config
preferences: {}
users:
- name: deploy@production
  user:
    ***
    ***
    ***
`,
		},
		"dotenv": {
			"# of the shop\nDB_PASSWORD=hunter2\nexport TOKEN='a b'\nDEBUG=true\nPIN=1\nK=\nKEYS=\n",
			"***\n***\n***\n***\n***\nK=\n***\n",
		},
		"docker's config.json": {
			"{\n\t\"auths\": {\n\t\t\"harbor.example.com\": {\n\t\t\t\"auth\": \"cm9ib3Q6aHVudGVyMg==\",\n\t\t\t\"password\": \"12\",\n\t\t\t\"email\": \"\"\n\t\t}\n\t},\n\t\"credsStore\": \"desktop\"\n}\n",
			"{\n\t\"auths\": {\n\t\t\"harbor.example.com\": {\n\t\t\t***\n\t\t\t***\n\t\t\t\"email\": \"\"\n\t\t}\n\t},\n\t***\n}\n",
		},
		"other YAML": {
			"replicas: 3\nenabled: true\nkey: |\n  c2VjcmV0IG9uZQ\npassword: 123\npin: 123\nuserToken: true\nname: it is long and says much\nport: 5432\n- ab\n",
			"replicas: 3\nenabled: true\nkey: |\n  ***\n***\n***\n***\n***\n***\n***\n",
		},
		"words": {"correct\nhorse\nthe: \n: x\n'a\": 1\n", "***\n***\nthe: \n: x\n***\n"},
	} {
		m := newMasker(t, c.value)
		for _, indent := range []string{"", "    "} {
			lines := indent + strings.TrimSuffix(strings.ReplaceAll(c.value, "\n", "\n"+indent), indent)
			want := indent + strings.TrimSuffix(strings.ReplaceAll(c.want, "\n", "\n"+indent), indent)
			if got := m.Text(lines); got != want {
				t.Errorf("%s, indented by %q: got\n%s\nwant\n%s", name, indent, got, want)
			}
		}
	}
}

// TestOneLine hides a value of one line whatever it is.
func TestOneLine(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"kind: Config", "password:", "enabled: true\n", "-----BEGIN KEY-----"} {
		if got := newMasker(t, value).Text(value); strings.TrimSpace(got) != "***" {
			t.Errorf("%q: got %q, want it hidden", value, got)
		}
	}
}
