package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

var (
	// queryPattern finds a metric in a query, with what it is narrowed to; a query also names attributes that it sums by.
	queryPattern = regexp.MustCompile(`(credits_[a-z_]+)(?:\{([^}]*)\})?`)
	labelPattern = regexp.MustCompile(`([a-z_]+)\s*(?:=|!=|=~|!~)\s*\\*"`)
	byPattern    = regexp.MustCompile(`by \(([a-z_, ]+)\)`)
)

// checkMetrics holds every query of terraform/ to the list of metrics: charts in its files, and alerts.
func (p *project) checkMetrics() error {
	files, err := filepath.Glob(p.path("terraform", "*.tf"))
	if err != nil {
		return err
	}
	queried := map[string]bool{}
	for _, path := range append(files, p.path("terraform", "alerts.json")) {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			p.checkQuery(filepath.Base(path), line, queried)
		}
	}
	for _, m := range p.metrics {
		p.must(queried[m.Name], "nobody looks at %s: terraform has neither chart nor alert of it", m.Name)
	}
	return nil
}

// checkQuery holds what one line asks for to the list.
func (p *project) checkQuery(where, line string, queried map[string]bool) {
	for _, m := range queryPattern.FindAllStringSubmatch(line, -1) {
		row, ok := p.metric(m[1])
		p.must(ok, "%s asks for %s, which is not in metrics.json", where, m[1])
		if !ok {
			continue
		}
		queried[row.Name] = true
		attributes := row.Attributes
		if row.Kind == telemetry.Histogram {
			attributes = append(slices.Clone(attributes), "le")
		}
		var named []string
		for _, label := range labelPattern.FindAllStringSubmatch(m[2], -1) {
			named = append(named, label[1])
		}
		for _, by := range byPattern.FindAllStringSubmatch(line, -1) {
			named = append(named, strings.Split(strings.ReplaceAll(by[1], " ", ""), ",")...)
		}
		for _, name := range named {
			p.must(slices.Contains(attributes, name), "%s tells %s apart by %s, which it is not recorded by", where, row.Name, name)
		}
	}
}

// metric finds a metric by the name of one of its series: a histogram has three.
func (p *project) metric(series string) (telemetry.Metric, bool) {
	for _, m := range p.metrics {
		names := []string{m.Name}
		if m.Kind == telemetry.Histogram {
			names = []string{m.Name + "_bucket", m.Name + "_count", m.Name + "_sum"}
		}
		if slices.Contains(names, series) {
			return m, true
		}
	}
	return telemetry.Metric{}, false
}

// everywhere are the settings that package serve itself reads, which every function is given.
var everywhere = []string{"FROZEN", "TELEMETRY_ENDPOINT"}

// checkCommon holds what every function is given to what package serve reads, and each secret to a version in each environment.
func (p *project) checkCommon() error {
	given, err := os.ReadFile(p.path("terraform", "functions.tf"))
	if err != nil {
		return err
	}
	var read strings.Builder
	err = eachSource(p.path("shared", "serve"), func(path string) error {
		source, err := os.ReadFile(path)
		read.Write(source)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range everywhere {
		p.must(strings.Contains(string(given), name+" = "), "terraform/functions.tf gives no function %s", name)
		p.must(strings.Contains(read.String(), `"`+name+`"`), "terraform/functions.tf gives every function %s, which package serve does not read", name)
	}
	environments, err := filepath.Glob(p.path("terraform", "env", "*.tfvars"))
	if err != nil {
		return err
	}
	for _, path := range environments {
		values, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for name, r := range p.rows {
			for _, secret := range r.Secrets {
				pinned := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(secret) + `\s*=\s*"[1-9][0-9]*"$`)
				p.must(pinned.Match(values), "%s pins no version of %s, which %s is given", filepath.Base(path), secret, name)
			}
		}
	}
	return nil
}
