package template

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
)

// Find looks a template up as a task's `uses` names it: name@v1 is exactly that version, name and name@latest are the
// newest. The error is for the author of the pipeline and names what is there.
func (c Catalogue) Find(ref string) (Template, error) {
	if t, ok := c[ref]; ok {
		return t, nil
	}
	name, version, _ := strings.Cut(ref, "@")
	versions := c.versions(name)
	switch {
	case len(versions) == 0:
		return Template{}, fmt.Errorf("there is no template `%.80s`%s", ref, c.instead(ref))
	case version == "" || version == "latest":
		return versions[len(versions)-1], nil
	}
	var has []string
	for _, t := range versions {
		has = append(has, t.Ref())
	}
	return Template{}, fmt.Errorf("there is no template `%.80s`; there is %s", ref, strings.Join(has, ", "))
}

// versions lists the versions of a template, the newest last.
func (c Catalogue) versions(name string) []Template {
	var all []Template
	for _, t := range c {
		if t.Name == name {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b Template) int { return number(a) - number(b) })
	return all
}

// number is the 2 of v2.
func number(t Template) int {
	n, err := strconv.Atoi(strings.TrimPrefix(t.Version, "v"))
	if err != nil {
		return 0
	}
	return n
}

// instead says what could be written instead of an unknown name.
func (c Catalogue) instead(ref string) string {
	refs := slices.Sorted(maps.Keys(c))
	if hint := param.DidYouMean(ref, refs); hint != "" {
		return hint
	}
	names := map[string]string{}
	for _, t := range c {
		names[t.Name] = t.Name
	}
	name, _, _ := strings.Cut(ref, "@")
	if hint := param.DidYouMean(name, slices.Collect(maps.Keys(names))); hint != "" {
		return hint
	}
	return "; there is " + strings.Join(refs, ", ")
}
