package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// routePattern finds the routes that jobs and pushes set off.
var routePattern = regexp.MustCompile(`Handle\("POST (/[^"]*)", trigger\.(Job|Push)\(`)

// checkRoutes holds the routes that wait for a job or a push to the jobs and pushes that there are. That each job and push has its route is
// package wiring's to test.
func (p *project) checkRoutes() error {
	jobs, pushes := map[string]bool{}, map[string]bool{}
	for _, j := range p.wiring.Jobs {
		jobs[j.Function+j.Path] = true
	}
	for _, s := range p.wiring.Subscriptions {
		pushes[s.Function+s.Path] = true
	}
	for _, name := range p.folders {
		err := eachSource(p.path("functions", name), func(path string) error {
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			routes := routePattern.FindAllSubmatch(source, -1)
			if n := bytes.Count(source, []byte("trigger.Job(")) + bytes.Count(source, []byte("trigger.Push(")); n != len(routes) {
				return fmt.Errorf("%s: %d of %d routes of jobs and pushes are not written as Handle(\"POST /path\", trigger.…)", path, n-len(routes), n)
			}
			for _, m := range routes {
				target := name + strings.TrimSuffix(strings.TrimSuffix(string(m[1]), "{$}"), "/")
				if string(m[2]) == "Job" {
					p.must(jobs[target], "no job in wiring.json fires POST /%s", target)
				} else {
					p.must(pushes[target], "no subscription in wiring.json pushes to POST /%s", target)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
