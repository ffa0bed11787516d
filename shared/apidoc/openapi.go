package apidoc

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxori/ai-credits/shared/problem"
)

// object is a JSON object in the making.
type object = map[string]any

const schemasAt = "#/components/schemas/"

// problemSchema and reasonSchema name the schemas of a code.
func problemSchema(code string) string { return "problem_" + code }
func reasonSchema(code string) string  { return "reason_" + code }

// schema makes an expression a JSON schema. Strict objects have no members but those described.
func schema(e Expression, at string, strict bool) object {
	var out object
	switch {
	case e.refers():
		out = object{"$ref": at + e.Name}
	case e.Name != "":
		out = object{}
		for k, v := range words()[e.Name] {
			out[k] = v
		}
	case e.Items != nil:
		out = object{"type": "array", "items": schema(*e.Items, at, strict)}
	case e.Map != nil:
		out = object{"type": "object", "additionalProperties": schema(*e.Map, at, strict)}
	case e.Enum != nil:
		out = object{"type": "string", "enum": e.Enum}
	case e.Reasons != nil:
		out = alternatives(e.Reasons, at, reasonSchema)
	case e.OneOf != nil:
		forms := make([]any, 0, len(e.OneOf))
		for _, form := range e.OneOf {
			forms = append(forms, schema(form, at, strict))
		}
		out = object{"oneOf": forms}
	default:
		out = fields(e.Fields, at, strict)
	}
	if e.Text == "" && !e.Nullable {
		return out
	}
	if _, ref := out["$ref"]; ref { // what stands beside a $ref does not count in OpenAPI 3.0
		out = object{"allOf": []any{out}}
	}
	if e.Nullable {
		out["nullable"] = true
	}
	if e.Text != "" {
		out["description"] = e.Text
	}
	return out
}

// alternatives is one of the schemas of some codes.
func alternatives(codes []string, at string, name func(string) string) object {
	refs := make([]any, 0, len(codes))
	for _, code := range codes {
		refs = append(refs, object{"$ref": at + name(code)})
	}
	if len(refs) == 1 {
		return object{"$ref": at + name(codes[0])}
	}
	return object{"oneOf": refs}
}

func fields(list List[Expression], at string, strict bool) object {
	properties, required := object{}, []string{}
	for _, f := range list {
		name, left := optional(f.Name)
		properties[name] = schema(f.Value, at, strict)
		if !left {
			required = append(required, name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 { // an empty list is no JSON schema of OpenAPI 3.0
		out["required"] = required
	}
	if strict {
		out["additionalProperties"] = false
	}
	return out
}

// openAPI makes the whole an OpenAPI 3.0 document.
func (d *Document) openAPI(strict bool) object {
	schemas := object{}
	for _, s := range d.Schemas {
		schemas[s.Name] = schema(s.Value, schemasAt, strict)
	}
	for _, p := range d.problems {
		schemas[problemSchema(p.Name)] = schema(problemForm(p), schemasAt, strict)
		schemas[reasonSchema(p.Name)] = schema(reasonForm(p), schemasAt, strict)
	}
	paths := object{}
	for _, rt := range d.Routes {
		method, path, _ := strings.Cut(rt.Name, " ")
		item, ok := paths[documented(path)].(object)
		if !ok {
			item = object{}
			paths[documented(path)] = item
		}
		item[strings.ToLower(method)] = d.operation(rt, strict)
	}
	return object{
		"openapi": "3.0.3",
		"info":    object{"title": d.Title, "version": d.Version, "description": d.About},
		"servers": []any{object{"url": d.Server}},
		"paths":   paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
		"security": []any{object{"bearer": []any{}}},
	}
}

// documented is a path as OpenAPI has it: that of the function itself is /.
func documented(path string) string { return strings.TrimSuffix(path, "{$}") }

// named is an expression of one schema's name or word.
func named(name string) Expression { return Expression{Name: name} }

// problemForm is the answer with a code: the members of RFC 9457, and what the code carries.
func problemForm(p Named[Expression]) Expression {
	common := List[Expression]{
		{"type", Expression{Enum: []string{"about:blank"}}}, {"title", named("string")}, {"status", named("integer")},
		{"code", Expression{Enum: []string{p.Name}}}, {"detail", named("string")}, {"request_id?", named("string")},
	}
	return Expression{Fields: append(common, p.Value.Fields...), Text: p.Value.Text}
}

// reasonForm is a code within an answer.
func reasonForm(p Named[Expression]) Expression {
	common := List[Expression]{{"code", Expression{Enum: []string{p.Name}}}, {"detail", named("string")}}
	return Expression{Fields: append(common, p.Value.Fields...), Text: p.Value.Text}
}

func (d *Document) operation(rt Named[Route], strict bool) object {
	out := object{
		"operationId": operationID(rt.Name), "summary": rt.Value.Title, "x-roles": rt.Value.Roles,
		"responses": d.responses(rt.Value, strict),
	}
	if rt.Value.About != "" {
		out["description"] = rt.Value.About
	}
	if p := parameters(rt, strict); len(p) > 0 {
		out["parameters"] = p
	}
	if b := rt.Value.Body; b != nil {
		out["requestBody"] = object{"required": !rt.Value.BodyOptional, "content": jsonContent(schema(*b, schemasAt, strict))}
	}
	return out
}

func jsonContent(s object) object { return object{"application/json": object{"schema": s}} }

// operationID is a name for a route that programs can be made with: get_orgs_org_balance.
func operationID(pattern string) string {
	return strings.Trim(strings.Join(strings.FieldsFunc(strings.ToLower(pattern), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "_"), "_")
}

// Variables are the names in a path's braces.
func Variables(pattern string) []string {
	var out []string
	for part := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && name != "$}" {
			out = append(out, strings.TrimSuffix(name, "}"))
		}
	}
	return out
}

func parameters(rt Named[Route], strict bool) []any {
	var out []any
	for _, name := range Variables(rt.Name) {
		out = append(out, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range rt.Value.Query {
		out = append(out, object{"name": q.Name, "in": "query", "schema": schema(q.Value, schemasAt, strict)})
	}
	if rt.Value.Keyed {
		out = append(out, object{
			"name": "Idempotency-Key", "in": "header", "required": true, "schema": object{"type": "string", "minLength": 1, "maxLength": 128},
			"description": "Chosen by the caller and kept; the same key again answers what it answered first.",
		})
	}
	if rt.Value.Conditional {
		out = append(out, object{
			"name": "If-None-Match", "in": "header", "required": false, "schema": object{"type": "string"},
			"description": "The ETag of an earlier answer: 304 if it would be the same.",
		})
	}
	return out
}

func (d *Document) responses(rt Route, strict bool) object {
	out := object{}
	for status, e := range rt.Answers {
		content := jsonContent(schema(e, schemasAt, strict))
		if rt.CSV {
			content["text/csv"] = object{"schema": object{"type": "string"}}
		}
		answer := object{"description": http.StatusText(status), "content": content}
		if rt.Conditional {
			answer["headers"] = tagged()
		}
		out[strconv.Itoa(status)] = answer
	}
	if rt.Conditional {
		out[strconv.Itoa(http.StatusNotModified)] = object{"description": "The caller has this answer.", "headers": tagged()}
	}
	codes := d.byStatus(rt)
	for status, of := range codes {
		answer := object{
			"description": strings.Join(of, ", "),
			"content":     object{"application/problem+json": object{"schema": alternatives(of, schemasAt, problemSchema)}},
		}
		if slices.Contains(of, problem.Unavailable) || slices.Contains(of, problem.RateLimited) {
			answer["headers"] = object{"Retry-After": object{"description": "Seconds after which to try again.", "schema": object{"type": "integer"}}}
		}
		out[strconv.Itoa(status)] = answer
	}
	return out
}

// tagged is the header that a conditional answer has.
func tagged() object {
	return object{"ETag": object{"description": "What to send in If-None-Match.", "required": true, "schema": object{"type": "string"}}}
}

// byStatus are a route's codes under the statuses that they are answered with.
func (d *Document) byStatus(rt Route) map[int][]string {
	out := map[int][]string{}
	for _, code := range d.codes(rt) {
		if status, ok := problem.Status(code); ok {
			out[status] = append(out[status], code)
		}
	}
	return out
}
