package erasure

import "testing"

func TestAWordIsFoundAsAWordHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		word, text string
		found      bool
	}{
		{"Zoë Dubé", "asked by zoë dubé.", true},
		{"Zoë Dubé", `{"by":"Zo\u00eb Dub\u00e9"}`, true},
		{"Zoë Dubé", `{"by":"ZO\u00CB DUB\u00c9"}`, true},
		{"Zoë Dubé", "Zoë Dubéla", false},
		{"Al", "all of it", false},
		{"Al", "it is real", false},
		{"Al", "all of it is Al's", true},
		{"al@acme.example", "to:al@acme.example;", true},
		{"al@acme.example", "cal@acme.example", false},
		{"al@acme.example", "al@acme.example2, al@acme.example", true},
		{"\U0001d4d0", `\ud835\udcd0`, true},
		{"", "anything", false},
		{"x", `\u12`, false},
	} {
		if got := holding(tt.word)(tt.text); got != tt.found {
			t.Errorf("%q in %q: %t, want %t", tt.word, tt.text, got, tt.found)
		}
	}
}
