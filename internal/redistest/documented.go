package redistest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// docRow is a row of a table in docs/redis.md that begins with a key; <name> in it stands for anything.
var (
	docRow  = regexp.MustCompile("(?m)^\\| `(\\{millrace\\}:[^`]*)` \\| ([a-z]+) ")
	docName = regexp.MustCompile(`<[a-z ]+>`)
)

// Documented fails t for every key in rdb that file, docs/redis.md, does not list with its type.
func Documented(t testing.TB, rdb *redis.Client, file string) {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := docRow.FindAllStringSubmatch(string(doc), -1)
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		kind, err := rdb.Type(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if !documented(rows, key, kind) {
			t.Errorf("%s does not list the %s %s", file, kind, key)
		}
	}
}

func documented(rows [][]string, key, kind string) bool {
	for _, row := range rows {
		literals := docName.Split(row[1], -1)
		for i := range literals {
			literals[i] = regexp.QuoteMeta(literals[i])
		}
		like := regexp.MustCompile(`(?s)^` + strings.Join(literals, ".+") + `$`)
		if like.MatchString(key) && kind == row[2] {
			return true
		}
	}
	return false
}
