package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// controlsData fills the page of limits.
type controlsData struct {
	Limits limits
	// Names are what users and teams are called; Members are there for administrators.
	Names   map[string]string
	Members []member
	Open    []limitRequest
	Decided []limitRequest
}

// Offered are the thresholds that the page offers, and those that were set otherwise.
func (d controlsData) Offered() []int64 {
	out := append([]int64{50, 75, 90}, d.Limits.Thresholds...)
	slices.Sort(out)
	return slices.Compact(out)
}

// On reports whether a threshold gives notice.
func (d controlsData) On(threshold int64) bool {
	return slices.Contains(d.Limits.Thresholds, threshold)
}

// Called is the name of a subject, or its id.
func (d controlsData) Called(id string) string {
	if name := d.Names[id]; name != "" {
		return name
	}
	return id
}

func (v *visit) controls() error {
	d := controlsData{Names: map[string]string{}}
	if err := v.get(v.in("limits"), nil, &d.Limits); err != nil {
		return err
	}
	if v.Reads() {
		var members list[member]
		if err := v.get(v.in("members"), url.Values{"page_size": {"200"}}, &members); err != nil {
			return err
		}
		d.Members = members.Items
		for _, m := range d.Members {
			d.Names[m.ID] = m.called()
		}
	}
	var found list[team]
	if err := v.get(v.in("teams"), url.Values{"page_size": {"200"}}, &found); err != nil {
		return err
	}
	for _, t := range found.Items {
		d.Names[t.ID] = t.Name
	}
	for state, into := range map[string]*[]limitRequest{"open": &d.Open, "decided": &d.Decided} {
		var asked list[limitRequest]
		if err := v.get(v.in("limit-requests"), url.Values{"state": {state}, "page_size": {"20"}}, &asked); err != nil {
			return err
		}
		*into = asked.Items
	}
	return v.render("Usage Controls (Credit Limit)", d)
}

// memberNames are what members are called, as far as the person may know: administrators and staff everybody, members themselves.
func (v *visit) memberNames() (map[string]string, error) {
	if !v.Reads() {
		return map[string]string{v.session.Sub: "you"}, nil
	}
	names := map[string]string{}
	var found list[member]
	if err := v.get(v.in("members"), url.Values{"page_size": {"200"}}, &found); err != nil {
		return nil, err
	}
	for _, m := range found.Items {
		names[m.ID] = m.called()
	}
	return names, nil
}

// called is what a member is called.
func (m member) called() string {
	for _, name := range []string{m.Name, m.Email} {
		if name != "" {
			return name
		}
	}
	return m.ID
}

// Called is for templates.
func (m member) Called() string { return m.called() }

// limitField reads a limit from a form; nil means none.
func (v *visit) limitField(name, what string) (*monthlyLimit, error) {
	n, ok, err := v.number(name, what)
	if err != nil || !ok {
		return nil, err
	}
	return &monthlyLimit{Credits: n, Soft: v.field(name+"_soft") != ""}, nil
}

func (v *visit) changeControls() error {
	done, err := v.steer()
	if err != nil {
		return v.again((*visit).controls, err)
	}
	return v.done("/orgs/"+v.org+"/controls", done)
}

// steer does what a form of the page of limits asks, and says what was done.
func (v *visit) steer() (string, error) {
	switch v.field("do") {
	case "organisation":
		return "limits", v.setLimits()
	case "user":
		if v.field("user") == "" {
			return "", wrong("Please choose a member.")
		}
		return "limits", v.setLimit("users", v.field("user"))
	case "ask":
		n, ok, err := v.number("credits", "The number of credits")
		if err != nil {
			return "", err
		}
		body := map[string]any{"scope": v.field("scope"), "reason": v.field("reason")}
		if ok {
			body["credits"] = n
		}
		return "asked", v.do(http.MethodPost, v.in("limit-requests"), body, nil)
	case "grant":
		n, ok, err := v.number("limit", "The new limit")
		if err != nil {
			return "", err
		}
		body := map[string]any{}
		if ok {
			body["limit"] = n
		}
		return "granted", v.do(http.MethodPost, v.in("limit-requests", v.field("request"), "grant"), body, nil)
	case "decline":
		return "declined", v.do(http.MethodPost, v.in("limit-requests", v.field("request"), "decline"), map[string]any{"reason": v.field("reason")}, nil)
	}
	return "", wrong("This form is not known.")
}

// setLimits sets the organisation's limit, each user's default, and the thresholds.
func (v *visit) setLimits() error {
	whole, err := v.limitField("organisation", "The organisation's limit")
	if err != nil {
		return err
	}
	each, err := v.limitField("default_user", "The limit for each member")
	if err != nil {
		return err
	}
	thresholds := []int64{}
	for _, written := range v.r.PostForm["threshold"] {
		n, err := strconv.ParseInt(written, 10, 64)
		if err != nil {
			return wrong("A threshold must be a whole number.")
		}
		thresholds = append(thresholds, n)
	}
	slices.Sort(thresholds)
	body := map[string]any{"thresholds": thresholds}
	if whole != nil {
		body["organisation"] = whole
	}
	if each != nil {
		body["default_user"] = each
	}
	return v.do(http.MethodPut, v.in("limits"), body, nil)
}

// setLimit sets the limit of a team or user, or takes it away if the field is empty.
func (v *visit) setLimit(kind, id string) error {
	limit, err := v.limitField("limit", "The limit")
	if err != nil {
		return err
	}
	if limit == nil {
		return v.do(http.MethodDelete, v.in("limits", kind, id), nil, nil)
	}
	return v.do(http.MethodPut, v.in("limits", kind, id), limit, nil)
}

// teamsData fills the page of teams.
type teamsData struct {
	Teams   []teamRow
	Members []member
	Names   map[string]string
}

// teamRow is a team with what it may use and did; Use is nil where the person may not know.
type teamRow struct {
	team
	Members int
	Use     *limitUse
}

func (v *visit) teams() error {
	var found list[team]
	if err := v.get(v.in("teams"), url.Values{"page_size": {"200"}}, &found); err != nil {
		return err
	}
	var l limits
	if err := v.get(v.in("limits"), nil, &l); err != nil {
		return err
	}
	d := teamsData{Names: map[string]string{}}
	sizes := map[string]int{}
	if v.Reads() {
		var members list[member]
		if err := v.get(v.in("members"), url.Values{"page_size": {"200"}}, &members); err != nil {
			return err
		}
		d.Members = members.Items
		for _, m := range d.Members {
			sizes[m.Team]++
		}
	}
	for _, t := range found.Items {
		d.Names[t.ID] = t.Name
		row := teamRow{team: t, Members: sizes[t.ID]}
		for _, u := range l.Teams {
			if u.Subject == t.ID {
				row.Use = &u
			}
		}
		d.Teams = append(d.Teams, row)
	}
	return v.render("Team Allocations", d)
}

func (v *visit) changeTeams() error {
	done, err := v.steerTeams()
	if err != nil {
		return v.again((*visit).teams, err)
	}
	return v.done("/orgs/"+v.org+"/teams", done)
}

func (v *visit) steerTeams() (string, error) {
	team := v.field("team")
	switch v.field("do") {
	case "create":
		id := teamID(v.field("name"))
		if id == "" {
			return "", wrong("Please give the team a name with letters or digits.")
		}
		return "team", v.do(http.MethodPut, v.in("teams", id), map[string]any{"name": v.field("name"), "archived": false}, nil)
	case "limit":
		return "limits", v.setLimit("teams", team)
	case "archive":
		return "archived", v.do(http.MethodDelete, v.in("teams", team), nil, nil)
	case "move":
		user := v.field("user")
		if team != "" {
			return "moved", v.do(http.MethodPut, v.in("teams", team, "members", user), nil, nil)
		}
		if from := v.field("from"); from != "" {
			return "moved", v.do(http.MethodDelete, v.in("teams", from, "members", user), nil, nil)
		}
		return "", nil
	}
	return "", wrong("This form is not known.")
}

// teamID makes a team's name its id: lower-case letters and digits, with dashes between.
func teamID(name string) string {
	id := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return ' '
	}, strings.ToLower(name))
	id = strings.Join(strings.Fields(id), "-")
	return strings.TrimRight(id[:min(len(id), 64)], "-")
}
