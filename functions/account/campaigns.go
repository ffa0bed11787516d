package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// code is the body of POST …/promotions/redeem and …/referral/claim.
type code struct {
	Code string `json:"code"`
}

// request is a code that a caller enters.
func (c call) request(r *http.Request) (campaigns.Request, error) {
	entered, err := strictjson.Decode[code](r.Body, bodyMaxBytes)
	if err != nil {
		return campaigns.Request{}, err
	}
	if entered.Code == "" {
		return campaigns.Request{}, invalid("code", "code is required.")
	}
	return campaigns.Request{Org: c.org, By: c.person.Sub, Code: entered.Code, Key: c.key}, nil
}

// redeemed is what a code has brought.
type redeemed struct {
	Code    string `json:"code"`
	Credits int64  `json:"credits"`
	// On is redemption, and the credits are there; or first_purchase, and they come with it.
	On campaigns.On `json:"on"`
	// GrantID and ExpiresAt are there for credits that are there and end.
	GrantID   string     `json:"grant_id,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// LifeDays is how long the credits can be used once they are given; left out for ever.
	LifeDays int64 `json:"life_days,omitempty"`
	Replayed bool  `json:"replayed"`
}

func (h *handler) redeem(w http.ResponseWriter, r *http.Request, c call) error {
	entered, err := c.request(r)
	if err != nil {
		return err
	}
	got, err := h.campaigns.Redeem(r.Context(), entered)
	if err != nil {
		return err
	}
	out := redeemed{Code: got.Code, Credits: got.Credits, On: got.On, GrantID: got.GrantID, LifeDays: got.LifeDays, Replayed: got.Replayed}
	if !got.EndsAt.IsZero() {
		out.ExpiresAt = &got.EndsAt
	}
	serve.Created(w, r, out)
	return nil
}

// referral is an organisation's code to pass on.
type referral struct {
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`
	// ReferrerCredits come to this organisation and ReferredCredits to the other, with the other's first paid purchase. Both live LifeDays.
	ReferrerCredits int64 `json:"referrer_credits"`
	ReferredCredits int64 `json:"referred_credits"`
	LifeDays        int64 `json:"life_days"`
	// ClaimedThisMonth is how many organisations claimed in this calendar month, of at most MonthlyMax.
	ClaimedThisMonth int64 `json:"claimed_this_month"`
	MonthlyMax       int64 `json:"monthly_max"`
	// ReferredBy is the code by which this organisation came.
	ReferredBy string `json:"referred_by,omitempty"`
}

func (h *handler) referral(w http.ResponseWriter, r *http.Request, c call) error {
	got, err := h.campaigns.Referral(r.Context(), c.org)
	if err != nil {
		return err
	}
	serve.OK(w, r, referral{
		Code: got.Code, ExpiresAt: got.EndsAt, ReferrerCredits: got.ReferrerCredits, ReferredCredits: got.ReferredCredits, LifeDays: got.LifeDays,
		ClaimedThisMonth: got.Claims, MonthlyMax: got.MonthlyMax, ReferredBy: got.ReferredBy,
	})
	return nil
}

// claimed is a referral that was claimed: its credits come with the first paid purchase.
type claimed struct {
	Code     string       `json:"code"`
	Credits  int64        `json:"credits"`
	On       campaigns.On `json:"on"`
	LifeDays int64        `json:"life_days"`
	Replayed bool         `json:"replayed"`
}

func (h *handler) claim(w http.ResponseWriter, r *http.Request, c call) error {
	entered, err := c.request(r)
	if err != nil {
		return err
	}
	got, err := h.campaigns.Claim(r.Context(), entered)
	if err != nil {
		return err
	}
	serve.Created(w, r, claimed{Code: got.Code, Credits: got.Credits, On: campaigns.FirstPurchase, LifeDays: got.LifeDays, Replayed: got.Replayed})
	return nil
}

// promotionTerms is the body of PUT /operations/promotions/{code}. It is sent whole; what is optional and left out is none.
type promotionTerms struct {
	Name      string       `json:"name"`
	On        campaigns.On `json:"on"`
	Credits   int64        `json:"credits"`
	LifeDays  int64        `json:"life_days"`
	StartsAt  time.Time    `json:"starts_at"`
	EndsAt    time.Time    `json:"ends_at"`
	TotalMax  int64        `json:"total_max"`
	PerOrgMax int64        `json:"per_org_max"`
	// Orgs and Countries are those it is for; left out for all.
	Orgs      []string `json:"orgs,omitempty"`
	Countries []string `json:"countries,omitempty"`
	Paused    bool     `json:"paused,omitempty"`
}

// promotion is a promotion as operators see it.
type promotion struct {
	Code string `json:"code"`
	promotionTerms
	Redeemed  int64     `json:"redeemed"`
	Revision  int64     `json:"revision"`
	ChangedBy string    `json:"changed_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func showPromotion(p campaigns.Promotion) promotion {
	return promotion{
		Code: p.Code, promotionTerms: promotionTerms(p.Terms), Redeemed: p.Redeemed, Revision: p.Revision, ChangedBy: p.ChangedBy,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

func (h *handler) putPromotion(w http.ResponseWriter, r *http.Request, c call) error {
	t, err := strictjson.Decode[promotionTerms](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	p, created, err := h.campaigns.PutPromotion(r.Context(), r.PathValue("code"), campaigns.Terms(t), c.person.Sub)
	if err != nil {
		return err
	}
	if created {
		serve.Created(w, r, showPromotion(p))
		return nil
	}
	serve.OK(w, r, showPromotion(p))
	return nil
}

func (h *handler) getPromotion(w http.ResponseWriter, r *http.Request, _ call) error {
	p, err := h.campaigns.Promotion(r.Context(), r.PathValue("code"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showPromotion(p))
	return nil
}
