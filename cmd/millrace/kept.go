package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/millrace-ci/millrace/runners"
)

// maxKept bounds the file of a secret, in bytes.
const maxKept = 1 << 20

// readKept gives the entries of a secret that is kept at this host: in a file of dotenv form, or in the daemon's own
// environment. It is read anew for each job, so that what the operator changes counts at once. Errors wrap
// runners.ErrRefused where the operator has something to mend; they never hold a value.
func readKept(k runners.Keeper) (map[string][]byte, error) {
	if k.File == "" {
		return environment(k.Env), nil
	}
	data, err := readBounded(k.File, maxKept)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, errTooLarge):
		return nil, fmt.Errorf("%w: %w", runners.ErrRefused, err)
	case err != nil:
		return nil, err
	}
	values, err := runners.ParseOutputs(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", runners.ErrRefused, k.File, err)
	}
	kept := make(map[string][]byte, len(values))
	for name, value := range values {
		kept[name] = []byte(value)
	}
	return kept, nil
}

// environment gives variables of this process. One that is not set is no entry.
func environment(names []string) map[string][]byte {
	kept := map[string][]byte{}
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			kept[name] = []byte(value)
		}
	}
	return kept
}

var errTooLarge = errors.New("it is too large")

// readBounded reads a file of at most size bytes. Errors: errTooLarge.
func readBounded(path string, size int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, size+1))
	if err == nil && int64(len(data)) > size {
		err = fmt.Errorf("%s: %w: at most %d bytes are read", path, errTooLarge, size)
	}
	return data, err
}
