package github

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// App is a GitHub App as which a Forge tells. It sets commit statuses with 'Commit statuses: write', and makes check runs
// of them with 'Checks: write'.
type App struct {
	ID           string          // its app id, or its client id
	Key          triggers.Secret // a private key of it, PEM as GitHub hands it out
	Installation int64           // of whose repositories it tells; 0: the one that each repository belongs to
}

// NewApp returns the forge that cfg describes, which tells as an app. What it asks for beside that, and what it fetches,
// is by the token of cfg still. It connects to nothing.
func NewApp(cfg Config, a App) (*Forge, error) {
	f, err := New(cfg)
	if err != nil {
		return nil, err
	}
	key, err := readKey([]byte(a.Key))
	if err == nil && a.ID == "" {
		err = errors.New("it has no id")
	}
	if err != nil {
		return nil, fmt.Errorf("configure app of forge %q: %w", cfg.Name, err)
	}
	f.app = &app{forge: f, id: a.ID, key: key, installation: a.Installation, tokens: map[int64]*installation{}}
	return f, nil
}

// readKey reads a private RSA key: PKCS #1, as GitHub hands it out, or PKCS #8.
func readKey(data []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("its private key is no PEM file: take the one that GitHub made")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any8, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := any8.(*rsa.PrivateKey); err == nil && ok {
		return key, nil
	}
	return nil, errors.New("its private key is no RSA key: take the one that GitHub made")
}

// app proves itself as the app, and keeps what it was given for that.
type app struct {
	forge        *Forge
	id           string
	key          *rsa.PrivateKey
	installation int64
	found        memory[int64] // installations by owner

	mu     sync.Mutex
	tokens map[int64]*installation
}

// installation is the token of one installation, which lives for an hour.
type installation struct {
	mu          sync.Mutex // held while a token is fetched
	token       string
	expires     time.Time
	permissions map[string]string
}

// renewBefore is how long before its end a token is replaced, and clockSkew how far GitHub's clock may be behind.
const renewBefore, clockSkew = 5 * time.Minute, time.Minute

// credential is by what a request is made, and what it may.
type credential struct {
	token  string
	checks bool // make check runs
}

// credential returns a token for repo, a fresh one if it is to be other than stale. One request at most, and one more for
// the first repository of an owner; two more once the app was uninstalled there and installed again, which gives it another
// installation.
func (a *app) credential(ctx context.Context, repo, stale string) (credential, error) {
	id, err := a.installed(ctx, repo)
	if err != nil {
		return credential{}, err
	}
	by, err := a.token(ctx, id, stale)
	if r := report.Refused(err); r == nil || r.Status != http.StatusNotFound || a.installation != 0 {
		return by, err
	}
	a.forget(repo, id)
	now, lost := a.installed(ctx, repo)
	switch {
	case lost != nil:
		return credential{}, lost
	case now == id:
		return credential{}, err
	}
	return a.token(ctx, now, stale)
}

// forget forgets an installation that is no more.
func (a *app) forget(repo string, id int64) {
	owner, _, _ := strings.Cut(repo, "/")
	a.found.change(owner, func(known int64) int64 {
		if known == id {
			return 0
		}
		return known // Somebody else has looked it up meanwhile.
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tokens, id)
}

// token returns the token of an installation, a fresh one if it is to be other than stale.
func (a *app) token(ctx context.Context, id int64, stale string) (credential, error) {
	a.mu.Lock()
	i := a.tokens[id]
	if i == nil {
		i = &installation{}
		a.tokens[id] = i
	}
	a.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token == "" || i.token == stale || a.forge.cfg.Now().After(i.expires.Add(-renewBefore)) {
		if err := a.fetch(ctx, id, i); err != nil {
			return credential{}, fmt.Errorf("get a token as app: %w", report.Advise(err, appAdvice))
		}
	}
	return credential{i.token, i.permissions["checks"] == "write"}, nil
}

// installed is the installation that repo belongs to.
func (a *app) installed(ctx context.Context, repo string) (int64, error) {
	owner, _, _ := strings.Cut(repo, "/")
	if id := cmp.Or(a.installation, a.found.get(owner)); id != 0 {
		return id, nil
	}
	var answer struct{ ID int64 }
	if err := a.ask(ctx, http.MethodGet, a.forge.api.JoinPath("repos", repo, "installation").String(), &answer); err != nil {
		return 0, fmt.Errorf("find the app's installation: %w", report.Advise(err, appAdvice))
	}
	a.found.change(owner, func(int64) int64 { return answer.ID })
	return answer.ID, nil
}

// fetch fetches a token. i.mu is held.
func (a *app) fetch(ctx context.Context, id int64, i *installation) error {
	var answer struct {
		Token       string
		ExpiresAt   time.Time `json:"expires_at"`
		Permissions map[string]string
	}
	address := a.forge.api.JoinPath("app/installations", strconv.FormatInt(id, 10), "access_tokens").String()
	if err := a.ask(ctx, http.MethodPost, address, &answer); err != nil {
		return err
	}
	if answer.Token == "" {
		return errors.New("GitHub gave none")
	}
	i.token, i.expires, i.permissions = answer.Token, answer.ExpiresAt, answer.Permissions
	return nil
}

// ask asks as the app itself.
func (a *app) ask(ctx context.Context, method, address string, v any) error {
	proof, err := a.proof()
	if err != nil {
		return report.Permanent(err)
	}
	_, _, err = report.Call{Method: method, Address: address, Header: headerOf(proof)}.Send(ctx, a.forge.client, v)
	return err
}

// proof is a JSON Web Token (RFC 7519) signed with RS256, as GitHub's 'Generating a JSON Web Token (JWT) for a GitHub App'
// wants it: made a minute ago, and good for less than ten.
func (a *app) proof() (string, error) {
	now := a.forge.cfg.Now()
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iat":%d,"exp":%d,"iss":%q}`, now.Add(-clockSkew).Unix(), now.Add(8*time.Minute).Unix(), a.id)
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign as app: %w", err)
	}
	return text + "." + encode(signature), nil
}

// appAdvice is what to do about a refusal of the app itself.
var appAdvice = map[int]string{
	http.StatusUnauthorized: "GitHub does not know the app: check its id and private key, and this machine's clock",
	http.StatusForbidden:    "the app's installation is suspended",
	http.StatusNotFound:     "the app is not installed where this repository is: install it there, or check the id of its installation",
}
