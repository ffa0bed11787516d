package apidoc

import (
	_ "embed"
	"unicode"
)

//go:embed messages.yaml
var messagesSource []byte

// ParseMessages reads the document of what goes over Pub/Sub. Its schemas that do not begin with a capital are topics.
func ParseMessages() (*Document, error) { return Parse(messagesSource) }

// Messages are the JSON schemas of each topic's messages, by topic, each complete in itself. Strict objects have no members but those
// described.
func Messages(strict bool) ([]byte, error) {
	d, err := ParseMessages()
	if err != nil {
		return nil, err
	}
	defs, topics := object{}, object{}
	for _, s := range d.Schemas {
		if unicode.IsUpper(rune(s.Name[0])) {
			defs[s.Name] = schema(s.Value, "#/$defs/", strict)
		}
	}
	for _, s := range d.Schemas {
		if unicode.IsUpper(rune(s.Name[0])) {
			continue
		}
		topic := schema(s.Value, "#/$defs/", strict)
		topic["$schema"], topic["title"], topic["$defs"] = "https://json-schema.org/draft/2020-12/schema", s.Name, defs
		topics[s.Name] = topic
	}
	return encode(topics)
}
