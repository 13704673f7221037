package param

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Check says whether the parameter takes v, and returns v as the parameter's type writes it: true, not True; 7, not
// +7. An output of an earlier task is taken where a text is, and is to be checked again when it is filled. The error
// names the parameter.
func (d Decl) Check(v Value) (Value, error) {
	v, err := d.check(v)
	if err != nil {
		return Value{}, fmt.Errorf("parameter `%s` %w", d.Name, err)
	}
	return v, nil
}

func (d Decl) check(v Value) (Value, error) {
	switch d.Type {
	case List:
		return d.checkList(v)
	case Map:
		return d.checkMap(v)
	case Secret:
		if v.Secret == nil {
			return v, errors.New("takes a secret that the operator keeps, written {secret: NAME} or {secret: NAME/KEY}, never a value")
		}
		return v, nil
	}
	switch {
	case v.Output != nil && d.Use == UseRunner:
		return v, errors.New("is for the runner, and no output of a task sets it")
	case v.Output != nil:
		return v, nil
	case v.Text == nil:
		return v, fmt.Errorf("takes %s, not %s", d.wants(), v.kind())
	}
	text, err := d.checkText(*v.Text)
	return TextValue(text), err
}

func (d Decl) checkText(s string) (string, error) {
	ok := true
	switch d.Type {
	case Boolean:
		s, ok = normalBoolean(s)
	case Number:
		s, ok = normalNumber(s)
	case Enum:
		ok = slices.Contains(d.Options, s)
	}
	if !ok || s != "" && !d.Form.fits(s) {
		return "", fmt.Errorf("takes %s, not %s", d.wants(), quote(s))
	}
	return s, clean(s)
}

func (d Decl) checkList(v Value) (Value, error) {
	if v.List == nil {
		return v, fmt.Errorf("takes %s, not %s", d.wants(), v.kind())
	}
	for _, item := range v.List {
		switch {
		case item.Output != nil && d.Use != UseRunner:
		case item.Text == nil:
			return v, fmt.Errorf("takes a list of texts, with %s in it", item.kind())
		case *item.Text != "" && !d.Form.fits(*item.Text):
			return v, fmt.Errorf("takes a list, each item of it %s, not %s", shapes[d.Form].wants, quote(*item.Text))
		case !d.offers(*item.Text):
			return v, fmt.Errorf("takes a list of %s, not %s", strings.Join(d.Options, ", "), quote(*item.Text))
		default:
			if err := clean(*item.Text); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// offers tells whether a List may hold the item. Of a flag only the name counts.
func (d Decl) offers(item string) bool {
	if d.Form == FormFlag {
		item = flagName(item)
	}
	return len(d.Options) == 0 || slices.Contains(d.Options, item)
}

func (d Decl) checkMap(v Value) (Value, error) {
	if v.Map == nil {
		return v, fmt.Errorf("takes a mapping of names to texts, not %s", v.kind())
	}
	for _, name := range slices.Sorted(maps.Keys(v.Map)) {
		item := v.Map[name]
		switch {
		case item.Output != nil && d.Use != UseRunner:
		case item.Secret != nil && d.Secrets:
		case item.Text == nil:
			return v, fmt.Errorf("takes a mapping of names to texts, and %s is %s", quote(name), item.kind())
		default:
			if err := errors.Join(clean(name), clean(*item.Text)); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// clean refuses the one byte that neither an argument nor an environment variable of a process can hold.
func clean(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("cannot hold a NUL byte, which no program can be given")
	}
	return nil
}

// wants says what the parameter takes, in words for people.
func (d Decl) wants() string {
	if d.Form != "" && d.Type != List {
		return shapes[d.Form].wants
	}
	switch d.Type {
	case Boolean:
		return "true or false"
	case Number:
		return "a number"
	case Enum:
		return "one of " + strings.Join(d.Options, ", ")
	case List:
		return "a list"
	}
	return "a text"
}

func normalBoolean(s string) (string, bool) {
	low := strings.ToLower(s)
	if low == "true" || low == "false" {
		return low, true
	}
	return s, false
}

// normalNumber takes decimal numbers: no hexadecimal, no digit separators, no infinity.
func normalNumber(s string) (string, bool) {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return s, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return s, false
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}
