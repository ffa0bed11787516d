package firedb_test

import "strings"

// difference is a reason for which the embedded engine does not answer some steps as Google's emulator does.
type difference struct {
	reason   string
	embedded map[string]string // what the embedded engine answers, by "section/step"
}

// mostDifferences keeps the list short enough to be read.
const mostDifferences = 14

// differences lists every step that the engines answer otherwise. A step that they answer alike must not be in it.
var differences = []difference{
	{
		"the documentation allows a field's name 1,500 bytes, the emulator one less",
		map[string]string{"values/field name of 1,500 bytes": "OK {name of 1500 bytes=1}"},
	},
	{
		"the documentation reserves names that match __.*__, which ____ does; the emulator wants something between",
		map[string]string{"names/write four underscores": "InvalidArgument", "names/read four underscores": "InvalidArgument"},
	},
	{
		"the emulator checks how long and deep a name is when it writes only",
		map[string]string{
			"names/read id of 1,501 bytes":                  "InvalidArgument",
			"names/read collection of 1,501 bytes":          "InvalidArgument",
			"names/read a hundred and one collections deep": "InvalidArgument",
		},
	},
	{
		"the emulator writes to a database that the request did not name",
		map[string]string{"names/a document of another database": "InvalidArgument"},
	},
	{
		"the emulator does not check all that masks and transforms bring in: it ignores the document's name as a field or " +
			"stores it as __key__, and it stores an array in an array",
		map[string]string{
			"masks/write with the name":        "InvalidArgument",
			"transforms/increment of the name": "InvalidArgument",
			"transforms/union with an array":   "InvalidArgument",
		},
	},
	{
		"the emulator does not enforce the limit of 500 transforms on a document in a commit",
		map[string]string{"transforms/501 transforms of one document": "InvalidArgument"},
	},
	{
		"the emulator takes no message above 4 MiB; the limit on a request is 10 MiB",
		map[string]string{"commits/9 mebibytes": "OK", "commits/11 mebibytes": "InvalidArgument"},
	},
	{
		"the emulator leaves out the time of a commit without writes",
		map[string]string{"writes/no writes still have a commit time": "true"},
	},
	{
		"the embedded engine has no queries over collections of every name, which the clients cannot ask",
		map[string]string{
			"refused queries/raw, no collection":    "InvalidArgument",
			"refused queries/raw, every collection": "InvalidArgument",
			"refused queries/raw, no query":         "InvalidArgument",
		},
	},
	{
		"the API wants at least one filter in a composite one",
		map[string]string{"refused queries/raw, an empty and": "InvalidArgument"},
	},
	{
		"the API wants the bound of a count above zero",
		map[string]string{"aggregations/raw, count up to 0": "InvalidArgument"},
	},
	{
		"the emulator breaks on more than five aggregations, the most that are allowed",
		map[string]string{"aggregations/raw, six": "InvalidArgument"},
	},
	{
		"a read in a transaction locks a document for itself alone, so that the next reader waits and sees what was written; " +
			"the emulator lets both read and then aborts the first to commit. Each outcome is serialisable",
		map[string]string{
			"interleavings/the second is rolled back":         "p set a=1 -> OK; 1 read a -> 1; 2 read a -> 2, having waited; 2 rollback -> OK, having waited; 1 commit a=2 -> OK; in the end a=2",
			"interleavings/two add to a query they both made": "p set a=1 -> OK; 1 query -> [a]; 2 query -> [a b], having waited; 1 commit b=1 -> OK; 2 commit c=1 -> OK; in the end a=1 b=1 c=1",
			"interleavings/two add to what they both counted": "p set a=1 -> OK; 1 count -> 1; 2 count -> 2, having waited; 1 commit b=1 -> OK; 2 commit c=1 -> OK; in the end a=1 b=1 c=1",
			"interleavings/two create one document":           "1 read n -> missing; 2 read n -> 1, having waited; 1 commit n=1 -> OK; 2 commit n=2 -> OK; in the end n=2",
			"interleavings/two lock crosswise":                "p set a=1 -> OK; p set b=1 -> OK; 1 read a -> 1; 2 read b -> 1; 1 read b -> 1, having waited; 2 read a -> Aborted; 1 commit a=2 b=2 -> OK; 2 commit a=3 b=3 -> InvalidArgument; in the end a=2 b=2",
			"interleavings/two write what both read":          "p set a=1 -> OK; 1 read a -> 1; 2 read a -> 10, having waited; 1 commit a=10 -> OK; 2 commit a=20 -> OK; in the end a=20",
			"interleavings/write skew":                        "p set a=1 -> OK; p set b=1 -> OK; 1 read a b -> 1 1; 2 read a b -> 0 1, having waited; 1 commit a=0 -> OK; 2 commit b=0 -> OK; in the end a=0 b=0",
		},
	},
	{
		"a query in a transaction locks what it found, not where it looked: a write beside that goes on, and the transaction is " +
			"aborted if it would have found it. The emulator holds back every write to the collection",
		map[string]string{
			"interleavings/a write enters a query": "p set a=1 -> OK; 1 query -> [a]; p set b=1 -> OK; 1 commit s=-1 -> Aborted; in the end a=1 b=1",
			"interleavings/a write meets a count":  "p set a=1 -> OK; 1 count -> 1; p set b=1 -> OK; 1 commit s=-1 -> Aborted; in the end a=1 b=1",
			"interleavings/a write near a query":   "p set a=1 -> OK; 1 query -> [a]; p set b=-1 -> OK; 1 commit s=-1 -> OK; in the end a=1 b=-1 s=-1",
		},
	},
}

// differing returns what the embedded engine answers in a section where the emulator does not answer so.
func differing(section string) map[string]string {
	out := map[string]string{}
	for _, d := range differences {
		for place, outcome := range d.embedded {
			if step, ok := strings.CutPrefix(place, section+"/"); ok {
				out[step] = outcome
			}
		}
	}
	return out
}
