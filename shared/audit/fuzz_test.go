package audit

import "testing"

// FuzzUnpack takes anything for the image of a state: what is taken can be kept again.
func FuzzUnpack(f *testing.F) {
	f.Fuzz(func(t *testing.T, packed []byte) {
		s, err := unpack("acme", packed)
		if err != nil {
			return
		}
		again, err := s.pack()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := unpack("acme", again); err != nil || back.book.Seq != s.book.Seq {
			t.Fatalf("%v", err)
		}
	})
}
