package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// verb is something that the tool does. Its name may be several words.
type verb struct {
	name     string
	operands []string // what it wants beside its flags
	summary  string
	example  string
	// who is the claim that the API wants of whoever runs it; empty for what does not go through the API.
	who claim
	// asks says that it asks before it does anything.
	asks bool
	// prepare adds the verb's flags, and returns what is run once they are parsed.
	prepare func(t *tool, flags *flag.FlagSet) action
}

// action runs a verb on its operands, of which there are as many as the verb says.
type action func(ctx context.Context, operands []string) error

// verbs are all that the tool does, group by group. The usage text and the help are made of them.
func verbs() []verb {
	return slices.Concat(lookupVerbs(), ledgerVerbs(), walletVerbs(), purchaseVerbs(), memberVerbs(), letterVerbs(), quarantineVerbs(), catalogueVerbs(), promotionVerbs(), copyVerbs(), auditVerbs(), jobVerbs())
}

// find returns the verb that the arguments begin with, and those after it.
func find(args []string) (verb, []string, bool) {
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return v, args[len(words):], true
		}
	}
	return verb{}, nil, false
}

// synopsis is how the verb is called.
func (v verb) synopsis() string { return strings.Join(append([]string{v.name}, v.operands...), " ") }

// usage lists the verbs.
func (t *tool) usage() {
	fmt.Fprintln(t.err, "creditsctl VERB [flags], where VERB is")
	w := tabwriter.NewWriter(t.err, 0, 0, 2, ' ', 0)
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %s\t%s\n", v.synopsis(), v.summary)
	}
	w.Flush()
	fmt.Fprintln(t.err, "creditsctl help VERB has a verb's flags and an example.")
}

// help describes one verb, those that begin with the words, or all.
func (t *tool) help(words []string) error {
	if len(words) == 0 {
		t.usage()
		return nil
	}
	found := false
	for _, v := range verbs() {
		if name := strings.Fields(v.name); len(name) >= len(words) && slices.Equal(name[:len(words)], words) {
			flags, _ := t.prepare(v)
			t.describe(v, flags)
			found = true
		}
	}
	if !found {
		t.usage()
		return fmt.Errorf("%w: %q", errUsage, strings.Join(words, " "))
	}
	return nil
}

// describe says what a verb does, and how it is called.
func (t *tool) describe(v verb, flags *flag.FlagSet) {
	fmt.Fprintf(t.err, "creditsctl %s [flags]: %s\n", v.synopsis(), v.summary)
	if v.who != "" {
		fmt.Fprintf(t.err, "It needs the claim %s.\n", v.who)
	}
	flags.PrintDefaults()
	fmt.Fprintf(t.err, "For example: creditsctl %s\n\n", v.example)
}
