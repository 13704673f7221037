package kube

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// object is a pointer to a kind of object, whose wire form is protobuf.
type object[T any] interface {
	*T
	metav1.Object
	runtime.Object
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// packed is an object, stripped, in its wire form: a fifth of what it takes in memory else. There may be ten thousand of
// them, and one is looked at only when something happens to it.
type packed[T any, P object[T]] []byte

// pack packs what strip has left of an object. That of a client cannot fail to be packed, and what was packed can be
// unpacked.
func pack[T any, P object[T]](o P) packed[T, P] {
	data, err := o.Marshal()
	if err != nil {
		panic(fmt.Sprintf("kube: pack %s: %v", o.GetName(), err))
	}
	return data
}

func (p packed[T, P]) unpack() P {
	o := P(new(T))
	if err := o.Unmarshal(p); err != nil {
		panic(fmt.Sprintf("kube: unpack %T: %v", o, err))
	}
	return o
}

func unpackAll[T any, P object[T]](all []packed[T, P]) []P {
	var objects []P
	for _, p := range all {
		objects = append(objects, p.unpack())
	}
	return objects
}
