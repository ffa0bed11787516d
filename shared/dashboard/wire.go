package dashboard

import (
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// The answers of the account API, as far as the pages show them. Credits are whole numbers, money is minor units.

type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_page_token"`
}

type figures struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt"`
}

type balance struct {
	figures
	Frozen       int64            `json:"frozen"`
	WalletFrozen bool             `json:"wallet_frozen"`
	BySource     map[string]int64 `json:"by_source"`
	Expiring     []struct {
		At      time.Time `json:"at"`
		Credits int64     `json:"credits"`
	} `json:"expiring"`
	AsOf time.Time `json:"as_of"`
}

// firstLook is what the overview shows.
type firstLook struct {
	Balance      balance   `json:"balance"`
	StartsAt     time.Time `json:"starts_at"`
	ResetsAt     time.Time `json:"resets_at"`
	Organisation limitUse  `json:"organisation"`
	Yours        *limitUse `json:"yours"`
	// Used are the last days, today the last of them.
	Used []struct {
		Day     string `json:"day"`
		Credits int64  `json:"credits"`
	} `json:"used"`
	Entries []entry `json:"entries"`
}

type entry struct {
	ID      string    `json:"id"`
	EventID string    `json:"event_id"`
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"`
	Credits int64     `json:"credits"`
	Feature string    `json:"feature"`
	UserID  string    `json:"user_id"`
	TeamID  string    `json:"team_id"`
	Reason  string    `json:"reason"`
	Actor   string    `json:"actor"`
	After   figures   `json:"after"`
}

// Moved is what the entry is about, below zero for what was taken or set aside.
func (e entry) Moved() int64 {
	switch e.Kind {
	case "debit", "capture", "expiry", "clawback", "hold", "repayment":
		return -e.Credits
	}
	return e.Credits
}

// explained is one entry with what led to it.
type explained struct {
	entry
	Quote *struct {
		Name         string `json:"name"`
		Feature      string `json:"feature"`
		Credits      int64  `json:"credits"`
		PriceVersion int64  `json:"price_version"`
		Price        *span  `json:"price"`
	} `json:"quote"`
	Grants []struct {
		ID        string     `json:"grant_id"`
		Source    string     `json:"source"`
		Granted   int64      `json:"granted"`
		From      time.Time  `json:"effective_at"`
		ExpiresAt *time.Time `json:"expires_at"`
		Payment   string     `json:"payment"`
	} `json:"grants"`
	Changes []struct {
		GrantID string `json:"grant_id"`
		Source  string `json:"source"`
		Free    int64  `json:"free"`
		Held    int64  `json:"held"`
	} `json:"changes"`
	Limits []struct {
		Scope   string `json:"scope"`
		Subject string `json:"subject"`
		Used    int64  `json:"used"`
		Limit   *int64 `json:"limit"`
	} `json:"limits"`
	ReversedCredits int64 `json:"reversed_credits"`
}

type span struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

type priceList struct {
	Currency string `json:"currency"`
	Features []struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description"`
		Credits     span   `json:"credits"`
		Requires    []struct {
			Description string `json:"description"`
		} `json:"requires"`
	} `json:"features"`
	Packages []struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Credits int64  `json:"credits"`
		Amount  int64  `json:"amount"`
	} `json:"packages"`
	Custom *catalogue.CustomCredits `json:"custom_credits"`
	Plans  []plan                   `json:"plans"`
}

type plan struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Credits     int64  `json:"credits_per_cycle"`
	Month       int64  `json:"month_amount"`
	Year        *int64 `json:"year_amount"`
}

// offering is a plan as it is subscribed to.
type offering struct {
	Plan     string `json:"plan"`
	Name     string `json:"name"`
	Interval string `json:"interval"`
	Credits  int64  `json:"credits_per_cycle"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type subscription struct {
	offering
	Status           string `json:"status"`
	CollectionPaused bool   `json:"collection_paused"`
	Period           struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	} `json:"period"`
	CancelAtPeriodEnd bool       `json:"cancel_at_period_end"`
	EndsAt            *time.Time `json:"ends_at"`
	ScheduledChange   *struct {
		Plan string    `json:"plan"`
		Name string    `json:"name"`
		At   time.Time `json:"at"`
	} `json:"scheduled_change"`
	NextCycle *struct {
		offering
		At  time.Time `json:"at"`
		Due int64     `json:"due"`
	} `json:"next_cycle"`
}

// planPreview is what a change of plan would cost and bring, and when.
type planPreview struct {
	At       time.Time `json:"at"`
	Due      int64     `json:"due"`
	Currency string    `json:"currency"`
	Credits  int64     `json:"credits"`
}

type autoTopUp struct {
	Enabled    bool   `json:"enabled"`
	Threshold  int64  `json:"threshold"`
	Package    string `json:"package"`
	MonthlyCap int64  `json:"monthly_cap"`
	Currency   string `json:"currency"`
	Spent      int64  `json:"spent"`
	Month      string `json:"month"`
	Stopped    *struct {
		Code string    `json:"code"`
		At   time.Time `json:"at"`
	} `json:"stopped"`
}

type purchase struct {
	OrgID       string     `json:"org_id"`
	Reference   string     `json:"reference"`
	Status      string     `json:"status"`
	Package     string     `json:"package"`
	Credits     int64      `json:"credits"`
	Amount      int64      `json:"amount"`
	Currency    string     `json:"currency"`
	CheckoutURL string     `json:"checkout_url"`
	GrantID     string     `json:"grant_id"`
	CreatedAt   time.Time  `json:"created_at"`
	PaidAt      *time.Time `json:"paid_at"`
	Timeline    []struct {
		At     time.Time `json:"at"`
		What   string    `json:"what"`
		Amount int64     `json:"amount"`
	} `json:"timeline"`
}

type refundQuote struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Credits  int64  `json:"credits"`
}

type monthlyLimit struct {
	Credits int64 `json:"credits"`
	Soft    bool  `json:"soft"`
}

type limitUse struct {
	Scope    string        `json:"scope"`
	Subject  string        `json:"subject"`
	Limit    *monthlyLimit `json:"limit"`
	Used     int64         `json:"used"`
	Left     *int64        `json:"left"`
	ResetsAt time.Time     `json:"resets_at"`
}

type limits struct {
	ResetsAt     time.Time     `json:"resets_at"`
	Thresholds   []int64       `json:"thresholds"`
	Organisation limitUse      `json:"organisation"`
	DefaultUser  *monthlyLimit `json:"default_user"`
	Teams        []limitUse    `json:"teams"`
	Users        []limitUse    `json:"users"`
}

type limitRequest struct {
	ID          string     `json:"request_id"`
	UserID      string     `json:"user_id"`
	Scope       string     `json:"scope"`
	SubjectName string     `json:"subject_name"`
	Credits     int64      `json:"credits"`
	Limit       int64      `json:"limit"`
	Reason      string     `json:"reason"`
	State       string     `json:"state"`
	CreatedAt   time.Time  `json:"created_at"`
	DecidedAt   *time.Time `json:"decided_at"`
	Granted     *int64     `json:"granted_limit"`
	Answer      string     `json:"answer"`
}

type team struct {
	ID   string `json:"team_id"`
	Name string `json:"name"`
}

type member struct {
	ID    string `json:"user_id"`
	Role  string `json:"role"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Team  string `json:"team_id"`
}

type alerts struct {
	LowBalance struct {
		Enabled   bool     `json:"enabled"`
		Threshold int64    `json:"threshold"`
		Channels  []string `json:"channels"`
	} `json:"low_balance"`
	Expiry struct {
		Enabled  bool     `json:"enabled"`
		Channels []string `json:"channels"`
	} `json:"expiry"`
	// Kinds are the other kinds of notifications, Contact those whose mails the billing contact gets too.
	Kinds   []kindChoice `json:"kinds,omitempty"`
	Contact *[]string    `json:"billing_contact,omitempty"`
}

type kindChoice struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name,omitempty"`
	Channels []string `json:"channels"`
}

type notification struct {
	ID    string    `json:"id"`
	Kind  string    `json:"kind"`
	At    time.Time `json:"at"`
	Title string    `json:"title"`
	Text  string    `json:"text"`
	Read  bool      `json:"read"`
}

type refusedWork struct {
	UserID  string    `json:"user_id"`
	Feature string    `json:"feature"`
	Credits int64     `json:"credits"`
	Code    string    `json:"code"`
	Detail  string    `json:"detail"`
	Count   int64     `json:"count"`
	LastAt  time.Time `json:"last_at"`
}

type moved struct {
	Granted  int64 `json:"granted"`
	Bought   int64 `json:"bought"`
	Used     int64 `json:"used"`
	Reversed int64 `json:"reversed"`
	Expired  int64 `json:"expired"`
	Refunded int64 `json:"refunded"`
}

type statement struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	AsOf    time.Time `json:"as_of"`
	Opening figures   `json:"opening"`
	Closing figures   `json:"closing"`
	Totals  moved     `json:"totals"`
}

// used is a report of what was used. Its items have the member that it is grouped by.
type used struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Total int64  `json:"total"`
	Items []struct {
		Day     string `json:"day"`
		Feature string `json:"feature"`
		Team    string `json:"team"`
		User    string `json:"user"`
		Credits int64  `json:"credits"`
	} `json:"items"`
}

type referral struct {
	Code            string    `json:"code"`
	ExpiresAt       time.Time `json:"expires_at"`
	ReferrerCredits int64     `json:"referrer_credits"`
	ReferredCredits int64     `json:"referred_credits"`
	LifeDays        int64     `json:"life_days"`
	Claimed         int64     `json:"claimed_this_month"`
	MonthlyMax      int64     `json:"monthly_max"`
	ReferredBy      string    `json:"referred_by"`
}

// letter is a message that could not be handled, as operators see it.
type letter struct {
	ID         string     `json:"id"`
	Topic      string     `json:"topic"`
	Code       string     `json:"code"`
	Reason     string     `json:"reason"`
	Data       string     `json:"data"`
	Size       int64      `json:"size"`
	Replayable bool       `json:"replayable"`
	State      string     `json:"state"`
	FirstSeen  time.Time  `json:"first_seen_at"`
	LastSeen   time.Time  `json:"last_seen_at"`
	Failures   int64      `json:"failures"`
	Replays    int64      `json:"replays"`
	ReplayedAt *time.Time `json:"replayed_at"`
	ReplayedBy string     `json:"replayed_by"`
}

// aside is an event of Stripe's that waits for a person.
type aside struct {
	EventID    string     `json:"event_id"`
	Type       string     `json:"type"`
	Reason     string     `json:"reason"`
	Detail     string     `json:"detail"`
	OrgID      string     `json:"org_id"`
	Reference  string     `json:"reference"`
	Object     string     `json:"object"`
	Payment    string     `json:"payment"`
	At         time.Time  `json:"at"`
	State      string     `json:"state"`
	ResolvedAt *time.Time `json:"resolved_at"`
	ResolvedBy string     `json:"resolved_by"`
	Resolution string     `json:"resolution"`
}

// found is somebody's place in an organisation, as support looks it up.
type found struct {
	OrgID  string `json:"org_id"`
	Name   string `json:"name"`
	UserID string `json:"user_id"`
	Role   string `json:"role"`
}
