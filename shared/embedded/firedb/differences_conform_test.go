package firedb_test

// difference is what the embedded engine answers where it does not answer as Google's emulator does.
type difference struct{ outcome, reason string }

// differences lists all of them, by section and step.
var differences = map[string]map[string]difference{}
