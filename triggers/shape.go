package triggers

import "fmt"

// maxElements bounds the elements of all arrays of a body together, texts aside: a push lists at most 2,048 commits.
const maxElements = 10_000

// CheckShape refuses (ErrPayload) a JSON body whose arrays hold so many elements that decoding it into structs would
// cost many times its size: five bytes of 'null,' become half a kilobyte of commit. It looks at every byte once, keeps
// nothing, and leaves to a decoder whether the body is JSON at all.
func CheckShape(body []byte) error {
	var open []byte // the brackets around i
	elements := 0
	for i := 0; i < len(body); i++ {
		listed := len(open) > 0 && open[len(open)-1] == '['
		switch c := body[i]; c {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
			continue
		case '[', '{':
			open = append(open, c)
		case ']', '}':
			open = open[:max(len(open)-1, 0)]
			continue
		case 'n', 't', 'f', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9': // A literal: null, true, false or, generously, a digit.
		default:
			continue
		}
		if listed {
			elements++
		}
		if elements > maxElements || len(open) > maxElements {
			return fmt.Errorf("%w: its lists have more than %d elements", ErrPayload, maxElements)
		}
	}
	return nil
}
