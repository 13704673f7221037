package kube

// DefaultGit is the image of the container that clones, where the operator names none: see docs/images.md.
const DefaultGit = "docker.io/alpine/git:v2.49.1@sha256:c0280cf9572316299b08544065d3bf35db65043d5e3963982ec50647d2746e26"

// Mirrored returns the image that stands in the place of image, by the rules of Config.Mirrors.
func Mirrored(mirrors map[string]string, image string) string {
	return Config{Mirrors: mirrors}.place(image)
}
