package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLastingID checks that a folder gives every agent that lives in it the same id, and that two have two.
func TestLastingID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var ids []string
	for _, path := range []string{filepath.Join(dir, "a"), filepath.Join(dir, "a"), filepath.Join(dir, "b")} {
		d, err := openData(path)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.id)
		d.close()
	}
	if len(ids[0]) != 26 || ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("got %q, want one id twice and another", ids)
	}
}

// TestDamagedID checks that an agent that does not know any more who it was does not start as somebody else, and does
// not keep the folder locked.
func TestDamagedID(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "zeros": strings.Repeat("\x00", 27), "half": "abcdefghijkl", "strange": "ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "id")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			want := file + " does not hold the id of this agent: restore it, or remove it if none of its jobs runs any more"
			for range 2 {
				if _, err := openData(dir); err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != text {
				t.Errorf("it is %q, %v now: nobody can restore it", got, err)
			}
		})
	}
}
