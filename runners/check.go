package runners

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// MaxCommand bounds the bytes of a job's command and environment together: far below what a kernel takes.
	MaxCommand = 1 << 20
	// MaxFiles bounds the bytes of a job's files together.
	MaxFiles = 64 << 10
)

var (
	idPattern     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	envPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	imagePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// ValidID tells whether id can name a job: a DNS label (RFC 1123), so also a safe name for a folder.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// Check tells why no runner takes the job as it is, wrapping ErrRefused: every runner asks it first, so that what one
// refuses all refuse. It is pure.
func (j Job) Check() error {
	if err := j.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

func (j Job) check() error {
	if !ValidID(j.ID) {
		return fmt.Errorf("job id %q is not a DNS label", j.ID)
	}
	if len(j.Command) == 0 || j.Command[0] == "" {
		return errors.New("there is no command")
	}
	if j.Image != "" && !imagePattern.MatchString(j.Image) {
		return fmt.Errorf("image %.80q is not the name of an image", j.Image)
	}
	size, files := 0, 0
	for _, arg := range j.Command {
		size += len(arg)
		if strings.ContainsRune(arg, 0) {
			return errors.New("the command holds a NUL byte")
		}
	}
	for name, value := range j.Env {
		size += len(name) + len(value)
		if err := CheckEnv(name); err != nil {
			return err
		}
		if strings.ContainsRune(value, 0) {
			return fmt.Errorf("the value of %s holds a NUL byte", name)
		}
	}
	for path, data := range j.Files {
		if !cleanPath(path) {
			return fmt.Errorf("file %.80q is not an absolute clean path", path)
		}
		files += len(path) + len(data)
	}
	if files > MaxFiles {
		return fmt.Errorf("files take %d bytes, at most %d are possible", files, MaxFiles)
	}
	for _, s := range j.Secrets {
		if err := s.check(); err != nil {
			return err
		}
	}
	if size > MaxCommand {
		return fmt.Errorf("command and environment take %d bytes, at most %d are possible: write large values to a file", size, MaxCommand)
	}
	return j.Source.check()
}

// hijackers are environment names whose value becomes code, or decides which code is run or read, before the command
// has had a say: of shells, the dynamic linker, the C library and git (git(1), ld.so(8), bash(1)).
var hijackers = []string{
	"PATH", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "IFS", "PS4", "PROMPT_COMMAND", "CDPATH", "GLOBIGNORE",
	"GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "HOSTALIASES", "SSH_ASKPASS",
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "GIT_ASKPASS", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_EXTERNAL_DIFF",
	"GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER", "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE",
	"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_ALLOW_PROTOCOL", "GIT_PROTOCOL_FROM_USER", "GIT_NAMESPACE",
}

// hijackerPrefixes are the beginnings of whole families of such names.
var hijackerPrefixes = []string{"LD_", "DYLD_", "BASH_FUNC_", "GIT_CONFIG", "GIT_TRACE"}

// CheckEnv tells why a task's environment may not have a variable of this name: it is no name, or it would change what
// code runs. The text is for the author. Names that only describe (GIT_BRANCH, HOME, LANG) pass.
func CheckEnv(name string) error {
	if !envPattern.MatchString(name) {
		return fmt.Errorf("environment name %.80q is not valid: use letters, digits and _, at most 128", name)
	}
	hijacks := slices.Contains(hijackers, name)
	for _, prefix := range hijackerPrefixes {
		hijacks = hijacks || strings.HasPrefix(name, prefix)
	}
	if hijacks {
		return fmt.Errorf("environment name %s is not allowed, it changes which code is run: set it inside the task's own script", name)
	}
	return nil
}

// cleanPath tells whether p is absolute and has no part that means another folder.
func cleanPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && p != "/" && len(p) <= 1024 && !strings.ContainsAny(p, ":\x00")
}

func (s Secret) check() error {
	switch {
	case s.Env != "" && s.Path != "" || s.Env == "" && s.Path == "":
		return fmt.Errorf("secret %s is to be an environment variable or files, one of both", s.Name)
	case s.Env != "" && s.Key == "":
		return fmt.Errorf("secret %s has several entries, and one environment variable holds one: write %[1]s/KEY", s.Name)
	case s.Path != "" && !cleanPath(s.Path):
		return fmt.Errorf("secret %s: its path %.80q is not absolute and clean", s.Name, s.Path)
	}
	if s.Env != "" {
		return CheckEnv(s.Env)
	}
	return nil
}

func (s Source) check() error {
	if s.URL == "" {
		return nil
	}
	if err := checkURL(s.URL); err != nil {
		return fmt.Errorf("source URL: %w", err)
	}
	if !commitPattern.MatchString(s.Commit) {
		return fmt.Errorf("source commit %.80q is not a full hash", s.Commit)
	}
	if s.Ref != "" && !validRef(s.Ref) {
		return fmt.Errorf("source ref %.80q is not a full name of a git ref", s.Ref)
	}
	if s.Key != nil && !strings.HasPrefix(s.URL, "ssh://") {
		return errors.New("a key is for an ssh:// source")
	}
	if strings.ContainsAny(s.Username, ":\r\n\x00") || strings.ContainsAny(s.Password, "\r\n\x00") || len(s.Username)+len(s.Password) > 16<<10 {
		return errors.New("source credentials hold a line break or are too long")
	}
	return nil
}

// checkURL never quotes the URL: it may hold a password.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > 2048 || strings.HasPrefix(text, "-"):
		return errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ssh":
		return errors.New("only http, https and ssh are allowed")
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-"):
		return errors.New("it names no host")
	}
	if _, has := u.User.Password(); has || u.User != nil && u.Scheme != "ssh" {
		return errors.New("credentials do not belong into it")
	}
	return nil
}

// validRef follows git-check-ref-format(1).
func validRef(ref string) bool {
	if !strings.HasPrefix(ref, "refs/") || len(ref) > 1024 || strings.HasSuffix(ref, ".") {
		return false
	}
	if strings.Contains(ref, "..") || strings.Contains(ref, "@{") || strings.ContainsAny(ref, " ~^:?*[\\\x7f") {
		return false
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' })
}
