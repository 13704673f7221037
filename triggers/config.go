package triggers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ForgeConfig is what a forge of any kind is reached and believed by.
type ForgeConfig struct {
	Name    string           // of the forge, the last part of its hooks' address
	URL     string           // where it is, as the forge's package says; "": where its kind is by default, if it is anywhere
	Token   Secret           // with the rights that the forge's package names; "": public repositories, and nothing is told
	Secrets Secrets          // of its hooks; none: the door is shut
	Client  *http.Client     // for its API; nil: one with a time limit
	Now     func() time.Time // tells how old a signed delivery is, where signatures expire; nil: time.Now
}

// Address is the URL that c's forge is reached at, byDefault if c names none, without a slash at the end. It reports
// everything that is wrong with c, at once. validGlob is the glob language of scopes.
func (c ForgeConfig) Address(byDefault string, validGlob func(string) bool) (*url.URL, error) {
	if c.URL == "" {
		c.URL = byDefault
	}
	errs := []error{CheckURL(c.URL), c.Secrets.Validate(validGlob)}
	if c.Name == "" {
		errs = append(errs, errors.New("name is empty"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", c.Name, err)
	}
	u, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", c.Name, err)
	}
	return u, nil
}

// NeedToken tells that nothing can be said to the forge, because it has no token.
func (c ForgeConfig) NeedToken() error {
	if c.Token == "" {
		return fmt.Errorf("forge %s has no token: set its token or token_file", c.Name)
	}
	return nil
}

// Access tells how a repository is fetched from the forge whose pages are below web: by its checked name, never from an
// address in a payload. The token, if there is one, goes as user's password.
func (c ForgeConfig) Access(web *url.URL, user, name string) Access {
	a := Access{URL: web.JoinPath(name + ".git").String()}
	if c.Token != "" {
		a.Username, a.Password = user, c.Token
	}
	return a
}
