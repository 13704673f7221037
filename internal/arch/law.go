package arch

import "path"

// room is one row of the import law: what the non-test files of the packages at paths may import.
type room struct {
	paths []string // patterns of path.Match over the package's folder
	may   []string // packages of ours
	free  bool     // any package of ours but cmd
	std   bool     // of others the standard library only
	pure  bool     // neither clock nor world, see impure
}

var (
	roots = []string{
		"triggers", "triggers/inbox", "queue", "runners", "agent/report", "agent/logs", "agent/store",
	}
	pures = []string{"agent/run", "agent/pipeline", "agent/template", "agent/param", "agent/mask"}

	runWords   = []string{"triggers", "runners", "agent/pipeline", "agent/template", "agent/param"}
	storeWords = []string{"triggers", "agent/run", "agent/pipeline"}
)

// law is the whole import law. The first row that names a folder decides.
var law = []room{
	{paths: []string{"cmd/millrace"}, free: true},
	{paths: []string{"cmd/millrace/config"}, may: []string{"triggers", "agent/param"}},
	{paths: []string{"*/*test", "*/*/*test", "test/*"}, free: true},
	{paths: []string{"internal/arch", "internal/ondisk"}, std: true},

	{paths: []string{"triggers", "queue", "runners", "agent/report", "agent/logs"}, std: true},
	{paths: []string{"triggers/inbox"}, std: true, may: []string{"triggers"}},
	{paths: []string{"agent/store"}, std: true, may: storeWords},
	{paths: []string{"metrics"}},

	{paths: []string{"agent/param", "agent/mask"}, pure: true},
	{paths: []string{"agent/pipeline", "agent/template"}, pure: true, may: []string{"triggers", "agent/param"}},
	{paths: []string{"agent/run"}, pure: true, may: runWords},

	{paths: []string{"triggers/door", "triggers/repo", "triggers/schedule"}, may: []string{"triggers", "triggers/inbox", "metrics"}},
	{paths: []string{"triggers/github", "triggers/gitlab", "triggers/gitea"}, may: []string{"triggers", "agent/report", "metrics"}},

	adapters("triggers/inbox", "triggers"),
	adapters("queue"),
	adapters("runners"),
	adapters("agent/report"),
	adapters("agent/logs"),
	adapters("agent/store", storeWords...),

	{paths: []string{"agent"}, may: join(roots, pures, []string{"metrics"})},
	{paths: []string{"agent/api", "agent/web"}, may: join(roots, pures)},
}

// impure is what a pure package does not import: everything it decides with comes in as an argument.
var impure = []string{"os", "net", "net/http", "log/slog", "math/rand", "math/rand/v2", "sync"}

// clocks is what a pure package does not take from package time: facts carry their own time.
var clocks = []string{"Now", "Since", "After"}

// adapters is the row of root's implementations: their root, what their root may import, numbers, masking, and waiting for the disk.
func adapters(root string, its ...string) room {
	return room{paths: []string{root + "/*"}, may: join([]string{root}, its, []string{"metrics", "agent/mask", "internal/ondisk"})}
}

// roomOf returns the row that names the package in folder.
func roomOf(folder string) (room, bool) {
	for _, r := range law {
		for _, p := range r.paths {
			if ok, _ := path.Match(p, folder); ok {
				return r, true
			}
		}
	}
	return room{}, false
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
