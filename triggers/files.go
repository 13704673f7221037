package triggers

// At is a commit of a repository, and the ref that it was seen on, which helps where a commit cannot be had.
type At struct {
	Ref    string // refs/heads/main
	Commit string // 40 lower-case hexadecimal digits
}

// Unreadable is a file that a repository has at a commit and whose content cannot be given. Reason is for its author.
type Unreadable struct {
	Path   string
	Reason string
}
