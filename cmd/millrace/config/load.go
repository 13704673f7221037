package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// Load reads the defaults, then file ("" = ./millrace.yaml if there is one), then the environment, then flags,
// and reports everything that is wrong at once, also what the parts that are built of it say, each in its check.
func Load(file string, flags map[string]any, checks ...func(*Config) error) (*Config, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	known := keysOf(reflect.TypeFor[Config](), "")
	for key, t := range known {
		// Each key by name: viper's AutomaticEnv would take MILLRACE_SERVER, which is the client's, for all of `server`.
		if single(t) && !strings.Contains(key, "[]") {
			if err := v.BindEnv(viperKey(key), envName(key)); err != nil {
				return nil, err
			}
		}
	}
	found, err := readFile(v, file)
	if err != nil {
		return nil, err
	}
	for key, value := range flags {
		v.Set(viperKey(key), value)
	}
	settings := v.AllSettings()
	if err := ownWords(settings, found, known); err != nil {
		return nil, err
	}
	c := Default()
	errs := []error{decode(settings, c), c.Complete(), c.Validate()}
	for _, check := range checks {
		errs = append(errs, check(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, badConfig(cmp.Or(v.ConfigFileUsed(), file), err)
	}
	return c, nil
}

// delimiter stands between the parts of a key for viper: no key has it in it, while the name of a host has dots.
const delimiter = "\x1f"

func viperKey(key string) string { return strings.ReplaceAll(key, ".", delimiter) }

// readFile reads the file into v, and returns the one that it found.
func readFile(v *viper.Viper, file string) (found string, err error) {
	v.SetConfigType("yaml")
	v.SetConfigFile(cmp.Or(file, "millrace.yaml"))
	err = v.ReadInConfig()
	switch {
	case file == "" && errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no configuration file %s", file)
	case err != nil:
		return "", fmt.Errorf("read configuration %s: %w", v.ConfigFileUsed(), err)
	}
	return v.ConfigFileUsed(), nil
}

// badConfig lists what is wrong with the configuration, a line each.
func badConfig(file string, err error) error {
	lines := []string{fmt.Sprintf("the configuration (%s, MILLRACE_*, flags) has problems:", file)}
	for _, problem := range flatten(err) {
		lines = append(lines, strings.ReplaceAll(problem.Error(), "\n", "\n    "))
	}
	return errors.New(strings.Join(lines, "\n  "))
}

// flatten lists the errors that were joined to err, also those of joined ones, but not those that somebody wrapped.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, flatten(err)...)
	}
	return all
}

// envName is the environment variable that sets a key.
func envName(key string) string {
	return "MILLRACE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// keysOf lists the keys of a configuration type, the entries of lists as forges[] and forges[].name, with the types of their values.
func keysOf(t reflect.Type, prefix string) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range t.Fields() {
		if f.Tag.Get("mapstructure") == "-" {
			continue
		}
		key, value := prefix+f.Tag.Get("mapstructure"), f.Type
		all[key] = value
		if value.Kind() == reflect.Slice {
			key, value = key+"[]", value.Elem()
			all[key] = value
		}
		if value.Kind() == reflect.Struct {
			maps.Copy(all, keysOf(value, key+"."))
		}
	}
	return all
}

// single tells whether a value of type t can be written in one environment variable.
func single(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return !slices.Contains([]reflect.Kind{reflect.Struct, reflect.Slice, reflect.Map}, t.Kind())
}
