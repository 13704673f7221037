package mask

import (
	"bytes"
	"encoding/binary"
)

// trie finds forms in a text (Aho and Corasick, 1975). Its nodes stand breadth first, so that the children of a node
// stand together, and finding one is looking for a byte in a few. Node 0 is the root.
type trie struct {
	nodes []node // and one more, that ends the children of the last
	bytes []byte // bytes[n] leads from n's parent to n
}

type node struct {
	children uint32 // the first one; they end where those of the next node begin
	suffix   uint32 // the node of the longest proper suffix of this one that is in the trie
	depth    uint32 // bytes from the root to here
	found    uint32 // bytes of the longest form that ends here, 0 if none does
}

// newTrie makes the trie of forms, which are sorted and differ.
func newTrie(forms []string) trie {
	type group struct{ from, to int } // the forms that begin with the bytes from the root to a node
	t := trie{nodes: []node{{}}, bytes: []byte{0}}
	groups := []group{{0, len(forms)}}
	for n := 0; n < len(t.nodes); n++ {
		g, depth := groups[n], t.nodes[n].depth
		t.nodes[n].children = uint32(len(t.nodes))
		if n > 0 && len(forms[g.from]) == int(depth) {
			t.nodes[n].found = depth
			g.from++
		}
		for g.from < g.to {
			c, to := forms[g.from][depth], g.from+1
			for to < g.to && forms[to][depth] == c {
				to++
			}
			groups = append(groups, group{g.from, to})
			t.nodes, t.bytes = append(t.nodes, node{depth: depth + 1}), append(t.bytes, c)
			g.from = to
		}
	}
	t.nodes = append(t.nodes, node{children: uint32(len(t.nodes))})
	t.link()
	return t
}

// link sets the suffix of each node, and what is found there through it. Suffixes are shorter, so theirs are set before.
func (t trie) link() {
	for n := range len(t.bytes) {
		for c := t.nodes[n].children; c < t.nodes[n+1].children; c++ {
			child := &t.nodes[c]
			if n > 0 {
				child.suffix = t.step(t.nodes[n].suffix, t.bytes[c])
			}
			if child.found == 0 {
				child.found = t.nodes[child.suffix].found
			}
		}
	}
}

// step returns the node of the longest suffix that is in the trie of what led to n and c.
func (t trie) step(n uint32, c byte) uint32 {
	for {
		first, end := t.nodes[n].children, t.nodes[n+1].children
		if first < end && t.bytes[first] == c { // Most have one child.
			return first
		}
		if i := bytes.IndexByte(t.bytes[first:end], c); i >= 0 {
			return first + uint32(i)
		}
		if n == 0 {
			return 0
		}
		n = t.nodes[n].suffix
	}
}

// filter is a set of hashes of the first MinValue bytes of forms: what begins with others is no form.
type filter [1 << 10]uint64

func (f *filter) add(form string) {
	h := hash([]byte(form[:MinValue]))
	f[h>>6] |= 1 << (h & 63)
}

// skip returns the first place from i on where a form may begin: where the filter has the next bytes, or where fewer
// than MinValue are left.
func (f *filter) skip(text []byte, i int) int {
	for ; i+MinValue <= len(text); i++ {
		if h := hash(text[i : i+MinValue]); f[h>>6]>>(h&63)&1 == 1 {
			break
		}
	}
	return i
}

// hash maps four bytes to sixteen bits by multiplication (Knuth, volume 3, 6.4).
func hash(b []byte) uint16 { return uint16(binary.LittleEndian.Uint32(b) * 2654435769 >> 16) }
