package stripestand

import (
	"slices"
	"strconv"
)

type product struct {
	ID           string   `json:"id"`
	Object       string   `json:"object"`
	Active       bool     `json:"active"`
	Created      int64    `json:"created"`
	DefaultPrice text     `json:"default_price"`
	Description  text     `json:"description"`
	Metadata     metadata `json:"metadata"`
	Name         string   `json:"name"`
	Updated      int64    `json:"updated"`
}

// price is a Price; UnitAmount is in minor units of Currency.
type price struct {
	ID                string     `json:"id"`
	Object            string     `json:"object"`
	Active            bool       `json:"active"`
	Created           int64      `json:"created"`
	Currency          string     `json:"currency"`
	LookupKey         text       `json:"lookup_key"`
	Metadata          metadata   `json:"metadata"`
	Nickname          text       `json:"nickname"`
	Product           string     `json:"product"`
	Recurring         *recurring `json:"recurring"`
	TaxBehavior       string     `json:"tax_behavior"`
	Type              string     `json:"type"`
	UnitAmount        int64      `json:"unit_amount"`
	UnitAmountDecimal string     `json:"unit_amount_decimal"`
}

type recurring struct {
	AggregateUsage  text   `json:"aggregate_usage"`
	Interval        string `json:"interval"`
	IntervalCount   int64  `json:"interval_count"`
	TrialPeriodDays *int64 `json:"trial_period_days"`
	UsageType       string `json:"usage_type"`
}

// coupon takes a percentage or an amount off.
type coupon struct {
	ID         string   `json:"id"`
	Object     string   `json:"object"`
	AmountOff  *int64   `json:"amount_off"`
	Created    int64    `json:"created"`
	Currency   text     `json:"currency"`
	Duration   string   `json:"duration"`
	Metadata   metadata `json:"metadata"`
	Name       text     `json:"name"`
	PercentOff *int64   `json:"percent_off"`
	Valid      bool     `json:"valid"`
}

var catalogueEndpoints = []endpointSpec{
	{"GET /v1/products", newSpec("active bool", "ids[]").with(pageParams, createdParams), (*op).listProducts},
	{"GET /v1/products/{id}", newSpec(), func(o *op) (any, error) { return o.product(o.id, "id") }},
	{
		"GET /v1/prices", newSpec("active bool", "currency", "lookup_keys[]", "product", "type one_time|recurring").
			with(pageParams, createdParams), (*op).listPrices,
	},
	{"GET /v1/prices/{id}", newSpec(), func(o *op) (any, error) { return o.price(o.id, "id") }},
	{"GET /v1/coupons/{id}", newSpec(), func(o *op) (any, error) { return o.coupon(o.id, "id") }},
}

func (s *Stand) product(id, param string) (*product, error) {
	p, ok := s.st.Products.get(id)
	if !ok {
		return nil, missing("product", param, id)
	}
	return p, nil
}

func (s *Stand) price(id, param string) (*price, error) {
	p, ok := s.st.Prices.get(id)
	if !ok {
		return nil, missing("price", param, id)
	}
	return p, nil
}

func (s *Stand) coupon(id, param string) (*coupon, error) {
	c, ok := s.st.Coupons.get(id)
	if !ok {
		return nil, missing("coupon", param, id)
	}
	return c, nil
}

func (o *op) listProducts() (any, error) {
	ids := o.p.list("ids")
	return page(o, "/v1/products", &o.st.Products, func(p *product) bool {
		return (!o.p.has("active") || o.p.boolean("active") == p.Active) &&
			(len(ids) == 0 || slices.Contains(ids, p.ID)) && o.inCreatedRange(p.Created)
	})
}

func (o *op) listPrices() (any, error) {
	keys := o.p.list("lookup_keys")
	return page(o, "/v1/prices", &o.st.Prices, func(p *price) bool {
		return (!o.p.has("active") || o.p.boolean("active") == p.Active) &&
			o.wants("currency", p.Currency) && o.wants("product", p.Product) && o.wants("type", p.Type) &&
			(len(keys) == 0 || slices.Contains(keys, string(p.LookupKey))) && o.inCreatedRange(p.Created)
	})
}

// Product is something to seed the stand-in's catalogue with.
type Product struct {
	ID, Name, Description string
	Metadata              map[string]string
}

// Price is a price to seed the stand-in's catalogue with. UnitAmount is in
// minor units of Currency; Interval (day, week, month, year) makes it
// recurring, every IntervalCount intervals (default 1).
type Price struct {
	ID, Product, Currency, LookupKey string
	UnitAmount                       int64
	Interval                         string
	IntervalCount                    int64
	Metadata                         map[string]string
}

// Coupon is a coupon to seed the stand-in's catalogue with: PercentOff in
// whole per cent, or AmountOff in minor units of Currency.
type Coupon struct {
	ID, Name, Currency    string
	PercentOff, AmountOff int64
}

// AddProduct adds a product, or replaces the one with its id.
func (s *Stand) AddProduct(p Product) error {
	return s.do(func(o *op) error {
		row := &product{
			ID: p.ID, Object: "product", Active: true, Created: o.now, Description: text(p.Description),
			Metadata: copied(p.Metadata), Name: p.Name, Updated: o.now,
		}
		if p.ID == "" || p.Name == "" {
			return invalid("", "id", "A product needs an id and a name")
		}
		if old, ok := o.st.Products.get(p.ID); ok {
			row.Created = old.Created
			*old = *row
			return nil
		}
		if err := o.room(); err != nil {
			return err
		}
		o.st.Products.add(p.ID, row)
		return nil
	})
}

// AddPrice adds a price of a known product, or replaces the one with its id.
func (s *Stand) AddPrice(p Price) error {
	return s.do(func(o *op) error {
		if p.ID == "" || p.Currency == "" || p.UnitAmount < 0 {
			return invalid("", "id", "A price needs an id, a currency and an amount that is not negative")
		}
		if _, err := o.product(p.Product, "product"); err != nil {
			return err
		}
		row := o.newPrice(p.ID, p.Product, p.Currency, p.UnitAmount)
		row.LookupKey, row.Metadata = text(p.LookupKey), copied(p.Metadata)
		if err := row.recur(p.Interval, p.IntervalCount); err != nil {
			return err
		}
		if old, ok := o.st.Prices.get(p.ID); ok {
			row.Created = old.Created
			*old = *row
			return nil
		}
		if err := o.room(); err != nil {
			return err
		}
		o.st.Prices.add(p.ID, row)
		return nil
	})
}

// AddCoupon adds a coupon, or replaces the one with its id.
func (s *Stand) AddCoupon(c Coupon) error {
	return s.do(func(o *op) error {
		if c.ID == "" || (c.PercentOff > 0) == (c.AmountOff > 0) || c.PercentOff > 100 {
			return invalid("", "id", "A coupon needs an id and either a percentage or an amount off")
		}
		row := &coupon{
			ID: c.ID, Object: "coupon", Created: o.now, Currency: text(c.Currency), Duration: "once",
			Metadata: metadata{}, Name: text(c.Name), Valid: true,
		}
		if c.PercentOff > 0 {
			row.PercentOff = &c.PercentOff
		} else {
			row.AmountOff = &c.AmountOff
		}
		if old, ok := o.st.Coupons.get(c.ID); ok {
			*old = *row
			return nil
		}
		if err := o.room(); err != nil {
			return err
		}
		o.st.Coupons.add(c.ID, row)
		return nil
	})
}

func (o *op) newPrice(id, productID, currency string, unitAmount int64) *price {
	return &price{
		ID: id, Object: "price", Active: true, Created: o.now, Currency: currency, Metadata: metadata{},
		Product: productID, TaxBehavior: "unspecified", Type: "one_time", UnitAmount: unitAmount,
		UnitAmountDecimal: strconv.FormatInt(unitAmount, 10),
	}
}

// recur makes the price recurring; an empty interval leaves it one-time.
func (p *price) recur(interval string, count int64) error {
	if interval == "" {
		return nil
	}
	if !slices.Contains([]string{"day", "week", "month", "year"}, interval) {
		return invalid("", "recurring[interval]", "Invalid interval: must be one of day, week, month, or year")
	}
	p.Type = "recurring"
	p.Recurring = &recurring{Interval: interval, IntervalCount: max(count, 1), UsageType: "licensed"}
	return nil
}

// share returns the percentage of an amount, rounded to the nearest minor unit.
func (c *coupon) share(amount int64) int64 { return (amount**c.PercentOff + 50) / 100 }

func copied(m map[string]string) metadata {
	out := metadata{}
	for k, v := range m {
		out[k] = v
	}
	return out
}
