package coded_test

import (
	"errors"
	"io"
	"testing"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/problem"
)

// mine is an error type as packages make them.
type mine struct{ coded.Reason }

var _ problem.Coded = (*mine)(nil)

func TestAnErrorExplainsItself(t *testing.T) {
	t.Parallel()
	var err error = &mine{coded.Reason{Is: "not_found", Says: "There is no such thing.", With: map[string]any{"id": "x"}, From: io.EOF}}
	var m *mine
	if !errors.As(err, &m) || m.Code() != "not_found" || m.Public() != "There is no such thing." || m.Details()["id"] != "x" {
		t.Errorf("%+v", err)
	}
	if !errors.Is(err, io.EOF) || err.Error() != "not_found: There is no such thing. (EOF)" {
		t.Errorf("%v", err)
	}
	if got := (&mine{coded.Reason{Is: "a", Says: "B."}}).Error(); got != "a: B." {
		t.Errorf("without a cause: %s", got)
	}
}
