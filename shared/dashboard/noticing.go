package dashboard

import (
	"net/http"
	"slices"
)

// notificationsData fills the page of notices and of how to be warned.
type notificationsData struct {
	Feed   []notification
	Next   string
	Alerts alerts
}

// Low reports whether low-balance alerts go by a channel.
func (d notificationsData) Low(channel string) bool {
	return slices.Contains(d.Alerts.LowBalance.Channels, channel)
}

// Expiry reports whether expiry warnings go by a channel.
func (d notificationsData) Expiry(channel string) bool {
	return slices.Contains(d.Alerts.Expiry.Channels, channel)
}

// ToContact reports whether the billing contact gets a kind's mails.
func (d notificationsData) ToContact(kind string) bool {
	return d.Alerts.Contact != nil && slices.Contains(*d.Alerts.Contact, kind)
}

// By reports whether a kind goes by a channel.
func (k kindChoice) By(channel string) bool { return slices.Contains(k.Channels, channel) }

func (v *visit) notifications() error {
	var d notificationsData
	if err := v.get(v.in("alerts"), nil, &d.Alerts); err != nil {
		return err
	}
	var feed list[notification]
	if err := v.get(v.in("notifications"), v.paging(), &feed); err != nil {
		return err
	}
	d.Feed, d.Next = feed.Items, v.next(feed.Next)
	return v.render("Notifications (Low Balance Alerts)", d)
}

func (v *visit) changeNotifications() error {
	done, err := v.settle()
	if err != nil {
		return v.again((*visit).notifications, err)
	}
	return v.done("/orgs/"+v.org+"/notifications", done)
}

func (v *visit) settle() (string, error) {
	switch v.field("do") {
	case "read":
		return "read", v.do(http.MethodPost, v.in("notifications", v.field("id"), "read"), nil, nil)
	case "alerts":
		threshold, ok, err := v.number("threshold", "The threshold")
		if err == nil && !ok {
			err = wrong("Please say below how many credits you want to be warned.")
		}
		if err != nil {
			return "", err
		}
		var a alerts
		a.LowBalance.Enabled, a.LowBalance.Threshold, a.LowBalance.Channels = v.field("low") != "", threshold, v.channels("low_channel")
		a.Expiry.Enabled, a.Expiry.Channels = v.field("expiry") != "", v.channels("expiry_channel")
		for _, kind := range v.r.PostForm["kind"] {
			a.Kinds = append(a.Kinds, kindChoice{Kind: kind, Channels: v.channels("channel-" + kind)})
		}
		if len(a.Kinds) > 0 {
			a.Contact = new(v.channels("contact"))
		}
		return "alerts", v.do(http.MethodPut, v.in("alerts"), a, nil)
	}
	return "", wrong("This form is not known.")
}

// channels are those that a form has ticked; never nil, since the API wants a list.
func (v *visit) channels(name string) []string { return append([]string{}, v.r.PostForm[name]...) }

// refusalsData fills the page of what was refused.
type refusalsData struct {
	Refusals []refusedWork
	Next     string
}

func (v *visit) refusals() error {
	var found list[refusedWork]
	if err := v.get(v.in("refusals"), v.paging(), &found); err != nil {
		return err
	}
	return v.render("Why was I refused?", refusalsData{found.Items, v.next(found.Next)})
}
