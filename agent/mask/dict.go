package mask

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A form of more than piece bytes is hidden piece by piece, the last of least bytes at least: so a part of it is hidden
// too, finding one takes a bounded time, and most pieces of forms that differ little are the same.
const piece, least = 64, 24

// dict finds forms in a text. They stand sorted in one piece of memory, about five quarters of what they take.
type dict struct {
	text   []byte   // all forms, one behind the other
	begins []uint32 // where each begins, and the last one ends
	parent []uint32 // by form, one more than the longest other one that it begins with; 0 if there is none
	starts filter
}

// newDict makes the dict of forms, which are sorted, differ and have MinValue bytes at least and piece at most.
func newDict(forms []string) dict {
	size := 0
	for _, f := range forms {
		size += len(f)
	}
	d := dict{
		text: make([]byte, 0, size), begins: make([]uint32, 1, len(forms)+1), parent: make([]uint32, len(forms)),
		starts: newFilter(len(forms)),
	}
	for i, f := range forms {
		d.text = append(d.text, f...)
		d.begins = append(d.begins, uint32(len(d.text)))
		d.starts.add(d.form(i))
		parent := uint32(i)
		for parent > 0 && !bytes.HasPrefix(d.form(i), d.form(int(parent-1))) {
			parent = d.parent[parent-1]
		}
		d.parent[i] = parent
	}
	return d
}

func (d *dict) form(i int) []byte { return d.text[d.begins[i]:d.begins[i+1]] }

// at returns the length of the longest form that text begins with, 0 if it begins with none, and whether a longer one
// begins with all of text. It takes time by the logarithm of the number of forms.
func (d *dict) at(text []byte) (n int, open bool) {
	text = text[:min(len(text), piece)]
	low, high := 0, len(d.parent) // The forms before low are not behind text, those from high on are.
	for low < high {
		if mid := int(uint(low+high) >> 1); bytes.Compare(d.form(mid), text) > 0 {
			high = mid
		} else {
			low = mid + 1
		}
	}
	open = high < len(d.parent) && bytes.HasPrefix(d.form(high), text)
	// What text begins with stands before it, and in between only what begins with that too.
	for i := low; i > 0; i = int(d.parent[i-1]) {
		if f := d.form(i - 1); bytes.HasPrefix(text, f) {
			return len(f), open
		}
	}
	return 0, open
}

// filter is a set of hashes of the first MinValue bytes of forms: what begins with others is no form.
type filter struct {
	set   []uint64
	shift int // of a hash, so that it is a place in set
}

// newFilter makes a filter that lets one in 128 of others pass, as long as it fits into a cache.
func newFilter(forms int) filter {
	size := min(bits.Len(uint(forms))+7, 20)
	return filter{make([]uint64, 1<<(size-6)), 32 - size}
}

func (f *filter) add(form []byte) {
	h := hash(form) >> f.shift
	f.set[h>>6] |= 1 << (h & 63)
}

// skip returns the first place from i on where a form may begin: where the filter has the next bytes, or where fewer
// than MinValue are left.
func (f *filter) skip(text []byte, i int) int {
	set, shift := f.set, f.shift
	for ; i+8 <= len(text); i += 4 { // Four places a turn, which is the faster way.
		next := binary.LittleEndian.Uint64(text[i:])
		h0, h1 := uint32(next)*multiplier>>shift, uint32(next>>8)*multiplier>>shift
		h2, h3 := uint32(next>>16)*multiplier>>shift, uint32(next>>24)*multiplier>>shift
		if found := set[h0>>6]>>(h0&63)&1 | set[h1>>6]>>(h1&63)&1<<1 | set[h2>>6]>>(h2&63)&1<<2 | set[h3>>6]>>(h3&63)&1<<3; found != 0 {
			return i + bits.TrailingZeros64(found)
		}
	}
	for ; i+MinValue <= len(text); i++ {
		if h := hash(text[i:]) >> shift; set[h>>6]>>(h&63)&1 == 1 {
			break
		}
	}
	return i
}

// hash maps four bytes to 32 bits, of which the first are the best, by multiplication (Knuth, volume 3, 6.4).
func hash(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * multiplier }

const multiplier = 2654435769
