package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxori/ai-credits/shared/table"
)

// alert is a row of terraform/alerts.json. It watches a line of the logs, a figure of Google's services, a figure that the functions record
// themselves, or that a figure is there at all.
type alert struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Severity string `json:"severity"`
	Playbook string `json:"playbook"`
	Log      *struct {
		Function string `json:"function"` // empty for any
		Message  string `json:"message"`
	} `json:"log"`
	Metric *struct {
		Filter        string `json:"filter"`
		Aligner       string `json:"aligner"`
		Reducer       string `json:"reducer"`
		PeriodSeconds int    `json:"period_seconds"`
		Above         int64  `json:"above"`
		ForSeconds    int    `json:"for_seconds"`
	} `json:"metric"`
	Query *struct {
		PromQL     string `json:"promql"`
		ForSeconds int    `json:"for_seconds"`
	} `json:"query"`
	Absent *struct {
		Filter     string `json:"filter"`
		ForSeconds int    `json:"for_seconds"`
	} `json:"absent"`
}

var (
	servicePattern      = regexp.MustCompile(`service_name = "([^"]+)"`)
	subscriptionPattern = regexp.MustCompile(`subscription_id = "([^"]+)"`)
)

// checkAlerts holds each alert to something that can set it off.
func (p *project) checkAlerts() error {
	data, err := os.ReadFile(p.path("terraform", "alerts.json"))
	if err != nil {
		return err
	}
	alerts, err := table.Read[[]alert](data)
	if err != nil {
		return fmt.Errorf("terraform/alerts.json: %w", err)
	}
	names := map[string]bool{}
	for _, a := range alerts {
		p.must(!names[a.Name], "alert %s is listed twice", a.Name)
		names[a.Name] = true
		p.must(slices.Contains([]string{"CRITICAL", "ERROR", "WARNING"}, a.Severity), "alert %s: severity %q", a.Name, a.Severity)
		p.must(a.Title != "", "alert %s has no title", a.Name)
		if _, err := os.Stat(p.path("terraform", "playbooks", a.Playbook+".md")); err != nil {
			p.must(false, "alert %s: playbook %s: %w", a.Name, a.Playbook, err)
		}
		if err := p.checkCondition(a); err != nil {
			return err
		}
	}
	return nil
}

func (p *project) checkCondition(a alert) error {
	filter, kinds := "", 0
	if a.Log != nil {
		kinds++
		if err := p.checkLine(a); err != nil {
			return err
		}
	}
	if a.Metric != nil {
		kinds++
		filter = a.Metric.Filter
		p.must(a.Metric.PeriodSeconds >= 60 && a.Metric.PeriodSeconds%60 == 0, "alert %s: periods are whole minutes", a.Name)
		p.must(a.Metric.ForSeconds%60 == 0, "alert %s: durations are whole minutes", a.Name)
	}
	if a.Query != nil {
		kinds++
		p.must(queryPattern.MatchString(a.Query.PromQL), "alert %s asks for no metric of ours", a.Name)
		p.must(a.Query.ForSeconds%60 == 0, "alert %s: durations are whole minutes", a.Name)
	}
	if a.Absent != nil {
		kinds++
		filter = a.Absent.Filter
		p.must(a.Absent.ForSeconds >= 120 && a.Absent.ForSeconds%60 == 0, "alert %s: absence lasts two minutes or more, in whole minutes", a.Name)
	}
	p.must(kinds == 1, "alert %s watches %d things, not one", a.Name, kinds)
	if m := servicePattern.FindStringSubmatch(filter); m != nil {
		p.must(slices.Contains(p.folders, m[1]), "alert %s watches %s, which is no function", a.Name, m[1])
	}
	if m := subscriptionPattern.FindStringSubmatch(filter); m != nil {
		p.must(p.subscription(m[1]), "alert %s watches %s, which is no subscription", a.Name, m[1])
	}
	return nil
}

// subscription reports whether there is a subscription: a push of the wiring's, or one from which people pull.
func (p *project) subscription(name string) bool {
	for _, s := range p.wiring.Subscriptions {
		if s.Name == name || s.DeadLetter != nil && name == s.DeadLetter.Topic+"-pull" {
			return true
		}
	}
	return name == "secret-rotation-pull"
}

// checkLine holds an alert on a line to the source that writes it. An alert of a function that is not there yet is not deployed.
func (p *project) checkLine(a alert) error {
	dirs := []string{"shared", "functions"}
	if f := a.Log.Function; f != "" {
		if !slices.Contains(p.folders, f) {
			return nil
		}
		dirs = []string{"shared", "functions/" + f}
	}
	for _, dir := range dirs {
		found := errors.New("found")
		err := eachSource(p.path(filepath.FromSlash(dir)), func(path string) error {
			source, err := os.ReadFile(path)
			if err == nil && bytes.Contains(source, []byte(strconv.Quote(a.Log.Message))) {
				return found
			}
			return err
		})
		if errors.Is(err, found) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	p.must(false, "alert %s watches for the line %q, which nothing writes", a.Name, a.Log.Message)
	return nil
}

// parts are what a playbook tells whoever is woken, in this order.
var parts = []string{"Meaning", "How bad", "First look", "Mend", "Verify"}

var linkPattern = regexp.MustCompile(`\]\(([a-z-]+\.md)\)`)

// checkPlaybooks holds each playbook to its parts, and to links that lead somewhere.
func (p *project) checkPlaybooks() error {
	dir := p.path("terraform", "playbooks")
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var found []string
		for line := range strings.Lines(string(text)) {
			if heading, ok := strings.CutPrefix(line, "## "); ok {
				found = append(found, strings.TrimSpace(heading))
			}
		}
		p.must(slices.Equal(found, parts), "playbook %s has the parts %q, not %q", d.Name(), found, parts)
		for _, m := range linkPattern.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(dir, string(m[1]))); err != nil {
				p.must(false, "playbook %s: %w", d.Name(), err)
			}
		}
		return nil
	})
}
