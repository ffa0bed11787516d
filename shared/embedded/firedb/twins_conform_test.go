package firedb_test

import (
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// twins: two writes of one document in one commit, with every pair of preconditions.
func twins(s *script) {
	conditions := []string{"always", "exists", "missing", "the newest time", "an older time"}
	for _, there := range []string{"there", "not there"} {
		for _, first := range []string{"set", "delete"} {
			for _, if1 := range conditions {
				for _, second := range []string{"set", "delete"} {
					for _, if2 := range conditions {
						name := fmt.Sprintf("%s, %s if %s, %s if %s", there, first, if1, second, if2)
						s.note(name, s.twin(there == "there", []string{first, second}, []string{if1, if2}))
					}
				}
			}
		}
	}
}

// twin commits writes of w/twin under conditions, and tells the code and what is there then.
func (s *script) twin(there bool, writes, conditions []string) string {
	if _, err := s.commit(remove(s, "w/twin")); err != nil {
		s.t.Fatal(err)
	}
	at := timestamppb.New(time.Now().Truncate(time.Microsecond))
	if there {
		s.put("w/twin", fields{"v": 0})
		at = timestamppb.New(s.get("w/twin").UpdateTime)
	}
	var commit []*pb.Write
	for i, kind := range writes {
		w := remove(s, "w/twin")
		if kind == "set" {
			w = s.write("w/twin", fields{"v": i + 1})
		}
		if conditions[i] != "always" {
			w = withCondition(w, conditions[i], at)
		}
		commit = append(commit, w)
	}
	_, err := s.commit(commit...)
	return code(err) + " " + show(s.content("w/twin"))
}
