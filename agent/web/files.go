package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"time"
)

//go:embed pages/*.html
var pages embed.FS

//go:embed static
var static embed.FS

// parse reads the pages, each with the layout around it and the parts that several share. It panics when one is not a
// template: they are embedded.
func parse(words template.FuncMap) map[string]*template.Template {
	parsed := map[string]*template.Template{}
	for _, name := range []string{"runs", "run", "deliveries", "delivery", "rehearsal", "dead", "problem"} {
		t := template.New("layout.html").Funcs(words)
		parsed[name] = template.Must(t.ParseFS(pages, "pages/layout.html", "pages/parts.html", "pages/"+name+".html"))
	}
	return parsed
}

// files are what pages load. Each is named with the hash of its bytes, so that browsers keep it and yet never show a
// page with another version's.
type files map[string]file

type file struct {
	data []byte
	hash string
}

// readFiles reads what is embedded; there is no reason why that could fail.
func readFiles() files {
	entries, err := static.ReadDir("static")
	if err != nil {
		panic(err)
	}
	all := files{}
	for _, e := range entries {
		data, err := static.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		all[e.Name()] = file{data, hex.EncodeToString(sum[:8])}
	}
	return all
}

// address is where a page finds the file.
func (f files) address(name string) string { return "/static/" + name + "?v=" + f[name].hash }

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	found, ok := f[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("v") == found.hash {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(found.data))
}
