package kube

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// dockerHub is the host of images that name none.
const dockerHub = "docker.io"

var imagePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}$`)

// place returns the image that stands in the place of image, which is image itself where no mirror is for it. A key of
// Mirrors stands for all that begins with it and goes on at a border of the name's parts.
func (c Config) place(image string) string {
	whole := normal(image)
	longest, found := "", ""
	for key, mirror := range c.Mirrors {
		key = normalKey(key)
		if rest, ok := strings.CutPrefix(whole, key); ok && len(key) > len(longest) && borders(key, rest) {
			longest, found = key, strings.TrimSuffix(mirror, "/")+rest
		}
	}
	if longest == "" {
		return image
	}
	return found
}

// borders tells whether a name that begins with key may go on with rest. A colon behind a bare host is that of a port.
func borders(key, rest string) bool {
	if rest == "" || rest[0] == '/' {
		return true
	}
	return strings.Contains(key, "/") && (rest[0] == ':' || rest[0] == '@')
}

// normal is the full name of an image as docker and containerd read it: `golang:1.26` is docker.io/library/golang:1.26.
// The tag `latest` is not added.
func normal(image string) string {
	host, path, found := strings.Cut(image, "/")
	if !found || !isHost(host) {
		host, path = dockerHub, image
	}
	host = normalHost(host)
	if host == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host + "/" + path
}

// normalKey is a key of Config.Mirrors as normal would have it. One without a slash is a host if its name has a dot or is
// localhost, else an image; `registry:5000/` is how a host of another name is written.
func normalKey(key string) string {
	host, path, slash := strings.Cut(key, "/")
	name, _, _ := strings.Cut(host, ":")
	if slash && isHost(host) || !slash && (name == "localhost" || strings.Contains(name, ".")) {
		return strings.TrimSuffix(normalHost(host)+"/"+path, "/")
	}
	return strings.TrimSuffix(normal(key), "/")
}

// isHost tells whether the first of several parts of an image's name is a host (distribution/reference, `domain`).
func isHost(part string) bool {
	return part == "localhost" || strings.ContainsAny(part, ".:") || strings.ToLower(part) != part
}

// normalHost is a host as images are compared by it. Docker Hub has three names.
func normalHost(host string) string {
	host = strings.ToLower(host)
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return dockerHub
	}
	return host
}

// pullSecrets names the Secrets that the registries of these images want, in order and once each.
func (c Config) pullSecrets(images ...string) []corev1.LocalObjectReference {
	var refs []corev1.LocalObjectReference
	for _, r := range c.Registries {
		host := normalHost(r.Host) + "/"
		wanted := slices.ContainsFunc(images, func(image string) bool { return strings.HasPrefix(normal(image), host) })
		ref := corev1.LocalObjectReference{Name: r.PullSecret}
		if wanted && r.PullSecret != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}
