package triggers

import (
	"fmt"
	"net/http"
)

// eventHeaders are the headers in which forges name an event. Gitea and Forgejo send GitHub's too, with bodies that
// differ, so theirs come first.
var eventHeaders = []struct{ header, says, kind string }{
	{"X-Gitea-Event", "Gitea", "gitea"},
	{"X-Forgejo-Event", "Forgejo", "gitea"},
	{"X-Gogs-Event", "Gogs", "gitea"},
	{"X-Gitlab-Event", "GitLab", "gitlab"},
	{"X-Github-Event", "GitHub", "github"},
}

// CheckSender tells whether a delivery with header h, which came to the door of the forge called name, was sent by
// another kind of forge. Errors: ErrHeading.
func CheckSender(h http.Header, name, kind string) error {
	for _, e := range eventHeaders {
		if h.Get(e.header) == "" {
			continue
		}
		if e.kind == kind {
			return nil
		}
		return fmt.Errorf("%w: this is a %s delivery and %s is of kind %s; send it to the hook of a forge of kind %s", ErrHeading, e.says, name, kind, e.kind)
	}
	return nil
}
