package firedb

import "fmt"

// BreakValidation turns off the checks that make commits serialisable, and the locks that hide most of what they
// find: a test of them must then fail.
func BreakValidation(s *Server) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.unchecked = true
}

// HoldFile keeps the server from writing its file until release is called, which returns how many bbolt transactions
// it has written since HoldFile.
func HoldFile(s *Server) (release func() (written func() int, err error), err error) {
	tx, err := s.store.journal.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("hold the file: %w", err)
	}
	before := tx.ID()
	return func() (func() int, error) {
		if err := tx.Rollback(); err != nil {
			return nil, fmt.Errorf("release the file: %w", err)
		}
		return func() int { return lastTransaction(s) - before + 1 }, nil
	}, nil
}

func lastTransaction(s *Server) int {
	tx, err := s.store.journal.db.Begin(false)
	if err != nil {
		return -1
	}
	defer tx.Rollback()
	return tx.ID()
}

// LoseFile closes the file under the server, as if the disk had failed.
func LoseFile(s *Server) error { return s.store.journal.db.Close() }

// Applied reports whether the store holds a document, in the file or not.
func Applied(s *Server, name string) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.tree.get(keyOf(name)) != nil
}
