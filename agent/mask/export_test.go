package mask

import (
	"maps"
	"slices"
)

// FormsOf is every form of values, in pieces, for tests that search for them one by one.
var FormsOf = formsOf

// WholeFormsOf is every form of values as one, sorted.
func WholeFormsOf(values []string) ([]string, error) {
	whole := map[string]bool{}
	for _, v := range values {
		for f := range everyForm(v) {
			whole[f] = true
		}
	}
	return slices.Sorted(maps.Keys(whole)), Check(values...)
}

// Size returns the bytes of memory that m's forms take.
func (m *Masker) Size() int {
	return cap(m.dict.text) + 4*cap(m.dict.begins) + 4*cap(m.dict.parent) + 8*cap(m.dict.starts.set)
}
