package param

import (
	"path"
	"regexp"
	"strings"
)

// Form is what the text of a parameter, or each item of its List, looks like.
type Form string

// The forms so far.
const (
	FormPath       Form = "path"       // inside the repository, so that it leads nowhere else
	FormName       Form = "name"       // of an object of Kubernetes (RFC 1123)
	FormQuantity   Form = "quantity"   // of Kubernetes
	FormDuration   Form = "duration"   // as Go writes it
	FormCount      Form = "count"      // a whole number from 0
	FormImage      Form = "image"      // with or without its tag or digest
	FormRepository Form = "repository" // of images, without tag and digest
	FormTag        Form = "tag"        // of an image
	FormHost       Form = "host"       // of a registry, with or without its port
	FormAssignment Form = "assignment" // CONTAINER=IMAGE
	FormFlag       Form = "flag"       // --FLAG or --FLAG=VALUE, where --FLAG is one of Options
)

const (
	patternHost       = `[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?`
	patternPart       = `[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*`
	patternRepository = `(?:` + patternHost + `/)?` + patternPart + `(?:/` + patternPart + `)*`
	patternTag        = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
	patternImage      = patternRepository + `(?::` + patternTag + `)?(?:@[a-z0-9]{1,16}:[0-9a-f]{32,128})?`
	patternLabel      = `[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?`
)

// shape is how a Form is recognized, and named to people.
type shape struct {
	wants   string
	pattern *regexp.Regexp
	longest int
}

// shapes follow the grammars of distribution/reference, RFC 1123 and k8s.io/apimachinery/pkg/api/resource.
var shapes = map[Form]shape{
	FormPath:       {"a path inside the repository", regexp.MustCompile(`^[^\x00-\x1f\x7f]+$`), 1024},
	FormName:       {"the name of an object of Kubernetes", whole(patternLabel + `(?:\.` + patternLabel + `)*`), 253},
	FormQuantity:   {"a quantity such as 500m or 2Gi", whole(`[0-9]{1,15}(?:\.[0-9]{1,3})?(?:m|k|Ki|M|Mi|G|Gi|T|Ti)?`), 24},
	FormDuration:   {"a duration such as 90s or 1h30m", whole(`(?:[0-9]{1,6}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,9}s)?`), 24},
	FormCount:      {"a whole number from 0", whole(`[0-9]{1,4}`), 4},
	FormImage:      {"an image such as registry.example.com/shop/api:v1", whole(patternImage), 512},
	FormRepository: {"a repository of images such as registry.example.com/shop/api, without a tag", whole(patternRepository), 255},
	FormTag:        {"a tag of an image", whole(patternTag), 128},
	FormHost:       {"the host of a registry such as registry.example.com:5000", whole(patternHost), 260},
	FormAssignment: {"CONTAINER=IMAGE", whole(patternLabel + `=` + patternImage), 600},
	FormFlag:       {"a flag such as --name=value", whole(`--[a-z0-9-]+(?:=[^\x00]*)?`), 4096},
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }

// fits tells whether a text has the form. Every text has none.
func (f Form) fits(s string) bool {
	if f == "" {
		return true
	}
	k := shapes[f]
	if s == "" || len(s) > k.longest || k.pattern == nil || !k.pattern.MatchString(s) {
		return false
	}
	return f != FormPath || inside(s)
}

// inside tells whether a path is a plain one that stays where it begins. "." is the beginning.
func inside(p string) bool {
	return path.Clean(p) == p && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../")
}

// flagName is what stands before the = of a flag.
func flagName(s string) string {
	name, _, _ := strings.Cut(s, "=")
	return name
}
