package giteatest

import "time"

// The payloads as Gitea 1.22 writes them: modules/structs/hook.go, repo.go and user.go there.

type pushPayload struct {
	Ref          string     `json:"ref"`
	Before       string     `json:"before"`
	After        string     `json:"after"`
	CompareURL   string     `json:"compare_url"`
	Commits      []commit   `json:"commits"`
	TotalCommits int        `json:"total_commits"`
	HeadCommit   *commit    `json:"head_commit"`
	Repo         repository `json:"repository"`
	Pusher       user       `json:"pusher"`
	Sender       user       `json:"sender"`
}

type createPayload struct {
	SHA     string     `json:"sha"`
	Ref     string     `json:"ref"`
	RefType string     `json:"ref_type"`
	Repo    repository `json:"repository"`
	Sender  user       `json:"sender"`
}

type deletePayload struct {
	Ref        string     `json:"ref"`
	RefType    string     `json:"ref_type"`
	PusherType string     `json:"pusher_type"`
	Repo       repository `json:"repository"`
	Sender     user       `json:"sender"`
}

type commit struct {
	ID           string    `json:"id"`
	Message      string    `json:"message"`
	URL          string    `json:"url"`
	Author       person    `json:"author"`
	Committer    person    `json:"committer"`
	Verification *struct{} `json:"verification"`
	Timestamp    time.Time `json:"timestamp"`
	Added        []string  `json:"added"`
	Removed      []string  `json:"removed"`
	Modified     []string  `json:"modified"`
}

type person struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Username string `json:"username"`
}

type user struct {
	ID            int64     `json:"id"`
	Login         string    `json:"login"`
	LoginName     string    `json:"login_name"`
	FullName      string    `json:"full_name"`
	Email         string    `json:"email"`
	AvatarURL     string    `json:"avatar_url"`
	Language      string    `json:"language"`
	IsAdmin       bool      `json:"is_admin"`
	LastLogin     time.Time `json:"last_login"`
	Created       time.Time `json:"created"`
	Restricted    bool      `json:"restricted"`
	Active        bool      `json:"active"`
	ProhibitLogin bool      `json:"prohibit_login"`
	Location      string    `json:"location"`
	Website       string    `json:"website"`
	Description   string    `json:"description"`
	Visibility    string    `json:"visibility"`
	Followers     int       `json:"followers_count"`
	Following     int       `json:"following_count"`
	Starred       int       `json:"starred_repos_count"`
	Username      string    `json:"username"`
}

type repository struct {
	ID            int64           `json:"id"`
	Owner         user            `json:"owner"`
	Name          string          `json:"name"`
	FullName      string          `json:"full_name"`
	Description   string          `json:"description"`
	Empty         bool            `json:"empty"`
	Private       bool            `json:"private"`
	Fork          bool            `json:"fork"`
	Template      bool            `json:"template"`
	Parent        *struct{}       `json:"parent"`
	Mirror        bool            `json:"mirror"`
	Size          int             `json:"size"`
	Language      string          `json:"language"`
	LanguagesURL  string          `json:"languages_url"`
	HTMLURL       string          `json:"html_url"`
	URL           string          `json:"url"`
	Link          string          `json:"link"`
	SSHURL        string          `json:"ssh_url"`
	CloneURL      string          `json:"clone_url"`
	OriginalURL   string          `json:"original_url"`
	Website       string          `json:"website"`
	Stars         int             `json:"stars_count"`
	Forks         int             `json:"forks_count"`
	Watchers      int             `json:"watchers_count"`
	OpenIssues    int             `json:"open_issues_count"`
	OpenPulls     int             `json:"open_pr_counter"`
	Releases      int             `json:"release_counter"`
	DefaultBranch string          `json:"default_branch"`
	Archived      bool            `json:"archived"`
	Created       time.Time       `json:"created_at"`
	Updated       time.Time       `json:"updated_at"`
	ArchivedAt    time.Time       `json:"archived_at"`
	Permissions   map[string]bool `json:"permissions"`
	HasIssues     bool            `json:"has_issues"`
	HasWiki       bool            `json:"has_wiki"`
	HasPulls      bool            `json:"has_pull_requests"`
	HasProjects   bool            `json:"has_projects"`
	HasReleases   bool            `json:"has_releases"`
	HasPackages   bool            `json:"has_packages"`
	HasActions    bool            `json:"has_actions"`
	AvatarURL     string          `json:"avatar_url"`
	Internal      bool            `json:"internal"`
	ObjectFormat  string          `json:"object_format_name"`
	Topics        []string        `json:"topics"`
}

func (s *Server) user(login string) user {
	return user{
		ID: 1, Login: login, Email: login + "@noreply.localhost", AvatarURL: s.URL + "/avatars/" + login,
		LastLogin: time.Time{}, Created: time.Unix(1, 0).UTC(), Visibility: "public", Username: login,
	}
}

func (s *Server) repository(r *repo) repository {
	page, api := s.URL+"/"+r.Path, s.URL+"/api/v1/repos/"+r.Path
	return repository{
		ID: r.id, Owner: s.user(r.owner), Name: r.name, FullName: r.Path, DefaultBranch: "main",
		HTMLURL: page, CloneURL: page + ".git", SSHURL: r.SSH(s.SSH), URL: api, LanguagesURL: api + "/languages",
		Private: !s.Knows(""), Watchers: 1, Created: r.created, Updated: r.created, ObjectFormat: "sha1",
		Permissions: map[string]bool{"admin": true, "push": true, "pull": true},
		HasIssues:   true, HasWiki: true, HasPulls: true, HasProjects: true, HasReleases: true, HasPackages: true, HasActions: true,
	}
}
