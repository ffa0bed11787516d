package account

import (
	"net/http"

	"github.com/fluxori/ai-credits/shared/dashboard"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/serve"
)

// openDashboard mounts the pages on the API that they are a client of, if they are configured.
func (h *handler) openDashboard(api *serve.Router, c config, people *identity.People, env serve.Env) error {
	if c.DashboardKeys == "" {
		return nil
	}
	var keys dashboard.Keys
	if err := keys.UnmarshalText([]byte(c.DashboardKeys.Reveal())); err != nil {
		return err
	}
	var err error
	h.dashboard, err = dashboard.New(dashboard.Options{
		URL: c.DashboardURL, API: api, People: people, Issuer: c.PeopleIssuer, ClientID: c.PeopleAudience, ClientSecret: c.PeopleClientSecret.Reveal(),
		Client: env.Client(), Keys: keys, FrameOrigin: c.DashboardFrameOrigin, SupportAddress: c.SupportAddress, Now: env.Now,
	})
	if err != nil {
		return err
	}
	pages := func(w http.ResponseWriter, r *http.Request) error {
		h.dashboard.ServeHTTP(w, r)
		return nil
	}
	api.Handle("/ui", pages)
	api.Handle("/ui/", pages)
	return nil
}
