package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"github.com/millrace-ci/millrace/agent/param"
)

// Bytes is a size, written as a number or with a unit: 512MiB.
type Bytes int64

// UnmarshalText reads 1024, 64KiB, 512MiB or 1GiB.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, shift := string(text), 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(s, unit); ok {
			s, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<(62-shift) {
		return fmt.Errorf("%q is no size", text)
	}
	*b = Bytes(n << shift)
	return nil
}

// index is the place of an entry in a list, as it stands in the name of a key.
var index = regexp.MustCompile(`\[\d+\]`)

// decode fills c from settings, strictly: a value is not turned into another type, because YAML has read a token like
// 0123 as another number by then. A key that c does not have is an error that names the nearest one that it has. No
// error shows a value: it may be a secret.
func decode(settings map[string]any, c *Config) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:     c,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(plainSecret, duration, commaList, mapstructure.TextUnmarshallerHookFunc()),
	})
	if err != nil {
		return err
	}
	known := keysOf(reflect.TypeFor[Config](), "")
	var errs []error
	if err := d.Decode(settings); err != nil {
		for _, key := range misfits(err) {
			errs = append(errs, fmt.Errorf("%s: want %s", key, wanted(known[index.ReplaceAllString(key, "[]")])))
		}
	}
	return errors.Join(append(errs, unknownKeys(settings, "", known)...)...)
}

// unknownKeys reports each key below the one that value is of, and that is not known. (mapstructure reports them only
// where it finds nothing else.)
func unknownKeys(value any, of string, known map[string]reflect.Type) []error {
	var errs []error
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			key := strings.TrimPrefix(of+"."+name, ".")
			plain := index.ReplaceAllString(key, "[]")
			if known[plain] == nil {
				errs = append(errs, fmt.Errorf("%s: unknown key%s", key, param.DidYouMean(plain, slices.Collect(maps.Keys(known)))))
				continue
			}
			if known[plain].Kind() != reflect.Map { // whose keys are the operator's own words
				errs = append(errs, unknownKeys(value[name], key, known)...)
			}
		}
	case []any:
		for i, entry := range value {
			errs = append(errs, unknownKeys(entry, fmt.Sprintf("%s[%d]", of, i), known)...)
		}
	}
	return errs
}

// misfits lists the keys that a decoder's error is about.
func misfits(err error) []string {
	if joined := errors.Unwrap(err); joined != nil {
		err = joined // mapstructure puts a headline before several
	}
	var keys []string
	for _, err := range flatten(err) {
		if e := (*mapstructure.DecodeError)(nil); errors.As(err, &e) {
			keys = append(keys, e.Name())
		}
	}
	return keys
}

// wanted says in words what a key of type t takes.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration like 30s, 15m or 168h"
	case reflect.TypeFor[Bytes]():
		return "a size like 65536, 64KiB, 512MiB or 1GiB"
	case reflect.TypeFor[WebhookSecret]():
		return "text (in quotes), or a mapping"
	case nil:
		return "something else"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float32:
		return "a number"
	}
	return "text: put it in quotes"
}

// plainSecret lets a webhook secret be a plain string.
func plainSecret(from, to reflect.Type, data any) (any, error) {
	if from.Kind() == reflect.String && to == reflect.TypeFor[WebhookSecret]() {
		return map[string]any{"secret": data}, nil
	}
	return data, nil
}

// duration reads durations as Go writes them. A bare number has no unit, and is none.
func duration(_, to reflect.Type, data any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return data, nil
	}
	text, ok := data.(string)
	if !ok {
		return nil, errors.New("no unit")
	}
	return time.ParseDuration(text)
}

// commaList lets a list of words be one text, as an environment variable or a flag has it: hook,plan.
func commaList(from, to reflect.Type, data any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[[]string]() {
		return data, nil
	}
	words := []string{}
	for word := range strings.SplitSeq(data.(string), ",") {
		words = append(words, strings.TrimSpace(word))
	}
	return words, nil
}
