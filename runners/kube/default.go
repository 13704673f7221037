package kube

// DefaultGit is the image of the container that clones, where the operator names none: see docs/images.md.
const DefaultGit = "docker.io/alpine/git:v2.54.0"

// Mirrored returns the image that stands in the place of image, by the rules of Config.Mirrors.
func Mirrored(mirrors map[string]string, image string) string {
	return Config{Mirrors: mirrors}.place(image)
}
