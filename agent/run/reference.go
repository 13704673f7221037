package run

// Reference names what an item in line is about: a delivery to be planned, a run whose state is to be told, or an attempt
// of a task. The rest is empty.
type Reference struct {
	Line     string // in which it stands, or stood
	Delivery string
	Run      string
	Task     string
	Attempt  int
}
