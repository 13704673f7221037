package runners

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseOutputs reads what a task wrote to MILLRACE_OUTPUT, in the dotenv form: NAME=value lines, with an optional
// `export`, blank lines and lines that begin with #. A bare value ends at the line's end or at a # after a blank; one in
// '...' is taken as it is, one in "..." knows \n \r \t \" \\ \$, and both may go on over several lines. Nothing is
// substituted. The last of several equal names counts. An error names the line, from 1. It is pure.
func ParseOutputs(data []byte) (map[string]string, error) {
	p := dotenv{rest: strings.TrimPrefix(string(data), "\ufeff"), line: 1}
	outputs := map[string]string{}
	for p.rest != "" {
		line := p.line
		name, value, err := p.entry()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if name != "" {
			outputs[name] = value
		}
	}
	return outputs, nil
}

// Part is a part of the message that a job leaves. An image is what kaniko writes to --image-name-tag-with-digest-file:
// a line `REPOSITORY:TAG@DIGEST` for each destination, of which the first counts.
type Part string

// The parts.
const (
	Whole       Part = "whole"        // all of it, without the line break at its end
	Image       Part = "image"        // REPOSITORY@DIGEST
	ImageTagged Part = "image_tagged" // REPOSITORY:TAG
	ImageDigest Part = "image_digest"
)

// ParseMessage reads the message of a job that does not write dotenv. An empty message has no outputs. It is pure.
func ParseMessage(message string, want map[string]Part) (map[string]string, error) {
	outputs := map[string]string{}
	message = strings.TrimSpace(message)
	if message == "" {
		return outputs, nil
	}
	first, _, _ := strings.Cut(message, "\n")
	tagged, digest, isImage := strings.Cut(strings.TrimSpace(first), "@")
	for name, part := range want {
		if part != Whole && !isImage {
			return nil, fmt.Errorf("output %s: the job left no name of an image with its digest, but %q", name, first)
		}
		switch part {
		case Whole:
			outputs[name] = message
		case Image:
			outputs[name] = untagged(tagged) + "@" + digest
		case ImageTagged:
			outputs[name] = tagged
		case ImageDigest:
			outputs[name] = digest
		default:
			return nil, fmt.Errorf("output %s: there is no part %q of a message", name, part)
		}
	}
	return outputs, nil
}

// untagged cuts the tag off; the colon of a port is none.
func untagged(image string) string {
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i]
	}
	return image
}

// dotenv reads entries off the front of rest.
type dotenv struct {
	rest string
	line int
}

// entry reads one entry; name is "" for a line that holds none.
func (p *dotenv) entry() (name, value string, err error) {
	head, _, _ := strings.Cut(p.rest, "\n")
	text := strings.TrimSpace(head)
	if text == "" || text[0] == '#' {
		p.skip(len(head))
		return "", "", nil
	}
	before, after, found := strings.Cut(head, "=")
	name = strings.TrimSpace(before)
	if bare, ok := strings.CutPrefix(name, "export"); ok && bare != strings.TrimLeft(bare, " \t") {
		name = strings.TrimSpace(bare)
	}
	if !found || !envPattern.MatchString(name) {
		return "", "", errors.New("expected NAME=value, with a name of letters, digits and _")
	}
	after = strings.TrimLeft(after, " \t")
	if after != "" && (after[0] == '"' || after[0] == '\'') {
		p.rest = p.rest[len(head)-len(after):]
		value, err = p.quoted()
	} else {
		value = bare(after)
		p.skip(len(head))
	}
	if err == nil {
		err = CheckOutput(name, value)
	}
	return name, value, err
}

// CheckOutput tells why a task cannot have an output of this name and value.
func CheckOutput(name, value string) error {
	if !envPattern.MatchString(name) {
		return fmt.Errorf("name %.80q is not of letters, digits and _", name)
	}
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return fmt.Errorf("the value of %s is not valid UTF-8 text", name)
	}
	return nil
}

// skip drops n bytes, and the line break that follows them.
func (p *dotenv) skip(n int) {
	p.line += strings.Count(p.rest[:n], "\n")
	p.rest = p.rest[n:]
	if strings.HasPrefix(p.rest, "\n") {
		p.rest = p.rest[1:]
		p.line++
	}
}

// bare is a value without quotes: up to a comment, without blanks around it.
func bare(text string) string {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	return strings.TrimSpace(text)
}

// quoted reads a value in quotes, with which rest begins, and the rest of its last line.
func (p *dotenv) quoted() (string, error) {
	quote := p.rest[0]
	var value strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			tail, _, _ := strings.Cut(p.rest[i+1:], "\n")
			if bare(" "+tail) != "" {
				return "", errors.New("text follows the closing quote")
			}
			p.skip(i + 1 + len(tail))
			return value.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(p.rest):
			i++
			value.WriteString(unescape(p.rest[i]))
		default:
			value.WriteByte(c)
		}
	}
	return "", errors.New("the quote is never closed")
}

// unescape is what a backslash and c stand for; an unknown pair stays as it is.
func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string(rune(c))
	}
	return string([]byte{'\\', c})
}
