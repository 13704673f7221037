package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/triggers"
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
		return fmt.Errorf("%q is no size: write a number of bytes, or like 64KiB, 512MiB, 1GiB", text)
	}
	*b = Bytes(n << shift)
	return nil
}

// loadConfig reads defaults, then file ("" = ./millrace.yaml if there is one), then the environment, then flags.
func loadConfig(file string, flags map[string]any) (*Config, error) {
	v := viper.New()
	for key, value := range map[string]any{
		"server.listen": "127.0.0.1:8080", "server.url": "", "redis.url": "", "data": "./data", "roles": allRoles,
		"default_runner": "", "shutdown_grace": "30s",
		"retention.deliveries": "168h", "retention.deliveries_bytes": "512MiB", "retention.runs": "2160h",
	} {
		v.SetDefault(key, value)
	}
	v.SetEnvPrefix("MILLRACE")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	v.AutomaticEnv()
	if err := readFile(v, file); err != nil {
		return nil, err
	}
	for key, value := range flags {
		v.Set(key, value)
	}
	c := &Config{}
	if err := decode(v.AllSettings(), c); err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

func readFile(v *viper.Viper, file string) error {
	v.SetConfigType("yaml")
	v.SetConfigFile(file)
	if file == "" {
		v.SetConfigFile("millrace.yaml")
	}
	err := v.ReadInConfig()
	if file == "" && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return nil
}

// decode fills c from settings. A key that c does not have is an error that names the nearest one that it has.
func decode(settings map[string]any, c *Config) error {
	var meta mapstructure.Metadata
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: c, Metadata: &meta, WeaklyTypedInput: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			plainSecret, mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(","),
			mapstructure.TextUnmarshallerHookFunc(),
		),
	})
	if err != nil {
		return err
	}
	if err := d.Decode(settings); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var errs []error
	index := regexp.MustCompile(`\[\d+\]`)
	known := keys(reflect.TypeFor[Config](), "")
	for _, key := range meta.Unused {
		errs = append(errs, fmt.Errorf("configuration: unknown key %s%s", key, param.DidYouMean(index.ReplaceAllString(key, ""), known)))
	}
	return errors.Join(errs...)
}

// plainSecret lets a webhook secret be a plain string.
func plainSecret(from, to reflect.Type, data any) (any, error) {
	if from.Kind() == reflect.String && to == reflect.TypeFor[WebhookSecret]() {
		return map[string]any{"secret": data}, nil
	}
	return data, nil
}

// keys lists the keys of a configuration type, those of lists without an index.
func keys(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var all []string
	for f := range t.Fields() {
		key := prefix + f.Tag.Get("mapstructure")
		all = append(append(all, key), keys(f.Type, key+".")...)
	}
	return all
}

// readSecrets reads the secrets that are named by files.
func (c *Config) readSecrets() error {
	var errs []error
	read := func(what string, value *triggers.Secret, file string) {
		switch {
		case file == "":
			return
		case *value != "":
			errs = append(errs, fmt.Errorf("%s: give the value or the file, not both", what))
			return
		}
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		*value = triggers.Secret(strings.TrimRight(string(data), "\r\n"))
	}
	for i := range c.Forges {
		f := &c.Forges[i]
		read("forges: "+f.Name+": token_file", &f.Token, f.TokenFile)
		for j := range f.WebhookSecrets {
			s := &f.WebhookSecrets[j]
			read("forges: "+f.Name+": webhook_secrets: secret_file", &s.Secret, s.SecretFile)
		}
	}
	return errors.Join(errs...)
}
