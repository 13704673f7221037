package githubtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// App is a GitHub App that is installed on all repositories, under Installation.
type App struct {
	ID           string
	Key          *rsa.PublicKey
	Installation int64
	Permissions  map[string]string // like checks: write
}

// grant is what an installation token may do, and until when.
type grant struct {
	permissions map[string]string
	until       time.Time
}

// tokenLife is how long an installation token is good.
const tokenLife = time.Hour

// Install installs an app, or changes what it may. Tokens that it has keep what they may.
func (s *Server) Install(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app = &a
}

// Revoke ends all installation tokens, as though their hour were over.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.grants)
}

// Granted is how many installation tokens were given out.
func (s *Server) Granted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted
}

// asApp wraps what is asked by an app's own JSON Web Token.
func (s *Server) asApp(next func(http.ResponseWriter, *http.Request, App)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		a := s.app
		s.mu.Unlock()
		if a == nil || !a.signed(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), time.Now()) {
			refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
			return
		}
		next(w, r, *a)
	}
}

// signed tells whether a JSON Web Token is the app's, and good now, by 'Generating a JSON Web Token (JWT) for a GitHub App':
// RS256, and at most ten minutes.
func (a App) signed(token string, now time.Time) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	var head struct{ Alg string }
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	for i, v := range []any{&head, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(data, v) != nil {
			return false
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return err == nil && rsa.VerifyPKCS1v15(a.Key, crypto.SHA256, digest[:], signature) == nil &&
		head.Alg == "RS256" && claims.Iss == a.ID && claims.Iat <= now.Unix() && claims.Exp > now.Unix() && claims.Exp <= now.Add(10*time.Minute).Unix()
}

// findInstallation answers which installation a repository belongs to.
func (s *Server) findInstallation(w http.ResponseWriter, r *http.Request, a App) {
	if s.repo(r.PathValue("owner"), r.PathValue("name")) == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	forgekit.Answer(w, http.StatusOK, map[string]any{"id": a.Installation, "app_id": a.ID, "permissions": a.Permissions})
}

// grantToken makes an installation token.
func (s *Server) grantToken(w http.ResponseWriter, r *http.Request, a App) {
	if r.PathValue("installation") != strconv.FormatInt(a.Installation, 10) {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	token, until := "ghs_"+rand.Text(), time.Now().UTC().Add(tokenLife).Truncate(time.Second)
	s.mu.Lock()
	s.granted++
	s.grants[token] = grant{maps.Clone(a.Permissions), until}
	s.mu.Unlock()
	forgekit.Answer(w, http.StatusCreated, map[string]any{
		"token": token, "expires_at": until, "permissions": a.Permissions, "repository_selection": "all",
	})
}

// may tells whether a bearer is known, and what it may: nil is everything that a user's token may.
func (s *Server) may(bearer string) (permissions map[string]string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[bearer]
	if !ok {
		return nil, s.Knows(bearer)
	}
	return g.permissions, time.Now().Before(g.until)
}

// need wraps what an app may only with a permission to write.
func (s *Server) need(permission string, next func(http.ResponseWriter, *http.Request, *repo)) func(http.ResponseWriter, *http.Request, *repo) {
	return func(w http.ResponseWriter, r *http.Request, repo *repo) {
		permissions, _ := s.may(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		switch {
		case permissions == nil && permission == checksPermission:
			refuse(w, http.StatusForbidden, "You must authenticate via a GitHub App.")
		case permissions != nil && permissions[permission] != "write":
			refuse(w, http.StatusForbidden, "Resource not accessible by integration")
		default:
			next(w, r, repo)
		}
	}
}
