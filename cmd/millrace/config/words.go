package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ownWords gives the mappings whose keys are the operator's own words, labels of nodes for one, the letters back that
// the file has: viper reads every key in lower case.
func ownWords(settings map[string]any, file string, known map[string]reflect.Type) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var written map[string]any
	if err := yaml.Unmarshal(text, &written); err != nil {
		return fmt.Errorf("read configuration %s: %w", file, err)
	}
	respell(settings, written, "", known)
	return nil
}

// respell does it below one key, of which read is what viper made and written what stands in the file.
func respell(read, written any, of string, known map[string]reflect.Type) {
	switch read := read.(type) {
	case map[string]any:
		written, _ := written.(map[string]any)
		for name, value := range written {
			lower := strings.ToLower(name)
			key := strings.TrimPrefix(of+"."+lower, ".")
			if t := known[key]; t != nil && t.Kind() == reflect.Map {
				read[lower] = value
				continue
			}
			respell(read[lower], value, key, known)
		}
	case []any:
		written, _ := written.([]any)
		for i := range min(len(read), len(written)) {
			respell(read[i], written[i], of+"[]", known)
		}
	}
}
