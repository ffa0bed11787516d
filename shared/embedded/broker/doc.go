// Package broker is Pub/Sub in process: an implementation of the parts of google.pubsub.v1 that this system uses,
// reached by any Pub/Sub client over gRPC, which delivers to push endpoints as production does.
//
// # Invariants
//
//   - A message whose publishing was acknowledged is delivered to every subscription its topic had at that moment, at
//     least once, until the subscription acknowledges it, dead-letters it, or is deleted. With Options.Path that holds
//     across a SIGKILL; without it, for the life of the Broker.
//   - A message is acknowledged by an answer of 200, 201, 202 or 204 within the acknowledgement deadline, and by
//     nothing else.
//   - With a dead-letter policy of n attempts, a message that is never acknowledged is delivered n times and then
//     published once to the dead-letter topic, in the same write that removes it from its subscription.
//   - On a subscription with ordering, at most one message of an ordering key is out at a time, and the next one waits
//     until it is acknowledged or dead-lettered.
//   - What is held is bounded: Options.MaxMessages copies and Options.MaxBytes; publishing beyond either is refused
//     with RESOURCE_EXHAUSTED, which clients retry. Requests out per subscription, topics, subscriptions, the size of a
//     publish request, and every wait are bounded too.
//   - A fault that is injected never loses a message: it repeats, delays, or reorders.
//
// # What it does not own
//
// It knows nothing of what messages mean, of their schemas (package events), of who may publish (there is no access
// control), or of the clock of the domain: deadlines and back-off run on the machine's clock, or on the virtual one of
// testing/synctest. Where it differs from production is listed, with reasons, in README.md.
package broker
