package main

// What an organisation does in a month. These are assumptions, for a seller who uses AI features daily.
const (
	debits        = 700 // over HTTP
	usageEvents   = 300 // over Pub/Sub
	checks        = 300
	balances      = 200 // looked at
	entryPages    = 20  // of the ledger, looked at
	grants        = 2   // a purchase, a subscription's cycle
	alertsAMonth  = 3   // messages of credit-alerts
	eventsAMonth  = 5   // messages of credit-events
	monthsKept    = 12  // the table is for a system that has run for a year
	backupsKept   = 21  // daily for a week, weekly for 14
	pageOfEntries = 50
)

// What a request takes. These are assumptions too; Cloud Run bills at least 100 ms.
const (
	requestMillis = 100
	entryBytes    = 2 * kib // an entry with its share of roll-ups and index entries
	logLineBytes  = 1 * kib
	messageBytes  = 1 * kib // the least that Pub/Sub bills
)

// What the functions record is sent once a minute by an instance that serves, and with each run of a job.
const (
	samplesSent = 300 // at once: each class of a histogram is one
	senders     = 5   // instances that serve at any time, on average
)

// requests are those of one organisation in a month, without the system's own.
const requests = debits + usageEvents + checks + balances + entryPages + grants + alertsAMonth

// messages are those of one organisation in a month. Each is published and delivered.
const messages = usageEvents + alertsAMonth + eventsAMonth
