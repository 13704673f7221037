package bloblogs

import "gocloud.dev/blob"

// InParts is New with parts of another size.
func InParts(live Live, bucket *blob.Bucket, size int64) *Logs {
	s := New(live, bucket)
	s.part = size
	return s
}
