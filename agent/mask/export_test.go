package mask

// FormsOf is every form of values, for tests that search for them one by one.
var FormsOf = formsOf

// Size returns the bytes of memory that m's trie takes.
func (m *Masker) Size() int { return 16*len(m.trie.nodes) + len(m.trie.bytes) }
