package stripestand

import "time"

const (
	maxLineItems       = 100
	maxClientReference = 200
	// maxCharge is the largest amount of a payment in minor units: eight digits.
	maxCharge = 99_999_999
)

func (o *op) createSession() (any, error) {
	c := &session{
		Object: "checkout.session", Created: o.now, Mode: o.p.str("mode"), PaymentMethodTypes: []string{"card"},
		PaymentStatus: paymentUnpaid, Status: sessionOpen, SuccessURL: text(o.p.str("success_url")),
		CancelURL: text(o.p.str("cancel_url")), ClientReferenceID: text(o.p.str("client_reference_id")),
		Locale: text(o.p.str("locale")), SubmitType: text(o.p.str("submit_type")),
		BillingAddress: text(o.p.str("billing_address_collection")),
		AutomaticTax:   automaticTax{Enabled: o.p.boolean("automatic_tax[enabled]")},
	}
	if c.SuccessURL == "" {
		return nil, required("success_url")
	}
	if len(c.ClientReferenceID) > maxClientReference {
		return nil, invalid("", "client_reference_id", "Invalid string: must be at most %d characters", maxClientReference)
	}
	if o.p.has("allow_promotion_codes") {
		allow := o.p.boolean("allow_promotion_codes")
		c.AllowPromotion = &allow
	}
	for _, step := range []func(*session) error{
		o.sessionLife, o.sessionCustomer, o.sessionDefaults, o.sessionItems, o.sessionAmounts,
	} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	if err := o.room(); err != nil {
		return nil, err
	}
	c.ID = o.newID("cs_test_a1")
	c.URL = text(o.opts.BaseURL + "/pay/" + c.ID)
	o.st.Sessions.add(c.ID, c)
	o.arm(timerSession, c.ID)
	return c, nil
}

func (o *op) sessionLife(c *session) error {
	c.ExpiresAt = o.now + int64(maxSessionLife.Seconds())
	if !o.p.has("expires_at") {
		return nil
	}
	c.ExpiresAt = o.p.integer("expires_at")
	life := time.Duration(c.ExpiresAt-o.now) * time.Second
	if life < minSessionLife || life > maxSessionLife {
		return invalid("", "expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.")
	}
	return nil
}

func (o *op) sessionCustomer(c *session) error {
	c.Customer, c.CustomerEmail = text(o.p.str("customer")), text(o.p.str("customer_email"))
	c.CustomerCreation = text(o.p.str("customer_creation"))
	switch {
	case c.Customer != "" && c.CustomerEmail != "":
		return invalid("", "customer_email", "You may only specify one of these parameters: customer, customer_email.")
	case c.Customer != "" && c.CustomerCreation != "":
		return invalid("", "customer_creation", "You may only specify one of these parameters: customer, customer_creation.")
	case c.Mode != modePayment && c.CustomerCreation != "":
		return invalid("", "customer_creation", "`customer_creation` can only be used in `payment` mode.")
	case c.Customer == "" && o.p.has("customer_update"):
		return invalid("", "customer_update", "`customer_update` can only be used with `customer`.")
	case c.Mode == modePayment && c.Customer == "" && c.CustomerCreation == "":
		c.CustomerCreation = "if_required"
	case c.Mode == modeSubscription && c.Customer == "":
		c.CustomerCreation = "always"
	}
	if c.Customer == "" {
		if c.CustomerEmail != "" {
			c.CustomerDetails = &customerDetails{Email: c.CustomerEmail, TaxExempt: "none"}
		}
		return nil
	}
	known, err := o.customer(string(c.Customer), "customer")
	if err != nil {
		return err
	}
	c.CustomerDetails = &customerDetails{
		Address: known.Address, Email: known.Email, Name: known.Name, Phone: known.Phone, TaxExempt: text(known.TaxExempt),
	}
	return nil
}

// sessionDefaults reads what the session will give to the objects it makes.
func (o *op) sessionDefaults(c *session) error {
	if c.Mode == modePayment && o.p.has("subscription_data") {
		return invalid("", "subscription_data", "You can not pass `subscription_data` in `payment` mode.")
	}
	if c.Mode == modeSubscription && (o.p.has("payment_intent_data") || o.p.has("invoice_creation")) {
		return invalid("", "payment_intent_data", "You can not pass `payment_intent_data` or `invoice_creation` in `subscription` mode.")
	}
	var err error
	if c.Metadata, err = o.p.meta("metadata", nil); err != nil {
		return err
	}
	d := &c.Hidden.Intent
	if d.Metadata, err = o.p.meta("payment_intent_data[metadata]", nil); err != nil {
		return err
	}
	for name, dst := range map[string]*text{
		"description": &d.Description, "receipt_email": &d.ReceiptEmail, "setup_future_usage": &d.SetupFutureUsage,
		"statement_descriptor": &d.Descriptor, "statement_descriptor_suffix": &d.DescriptorSuffix,
	} {
		o.p.applyText("payment_intent_data["+name+"]", dst)
	}
	sub := &c.Hidden.Subscription
	if sub.Metadata, err = o.p.meta("subscription_data[metadata]", nil); err != nil {
		return err
	}
	o.p.applyText("subscription_data[description]", &sub.Description)
	sub.TrialDays = o.p.integer("subscription_data[trial_period_days]")
	sub.TrialEnd = o.p.integer("subscription_data[trial_end]")
	if c.Mode == modePayment {
		c.InvoiceCreation = &invoiceCreation{Enabled: o.p.boolean("invoice_creation[enabled]")}
		data := &c.InvoiceCreation.Data
		o.p.applyText("invoice_creation[invoice_data][description]", &data.Description)
		o.p.applyText("invoice_creation[invoice_data][footer]", &data.Footer)
		data.Metadata, err = o.p.meta("invoice_creation[invoice_data][metadata]", nil)
	}
	return err
}

func (o *op) sessionItems(c *session) error {
	paths := o.p.elements("line_items")
	if len(paths) == 0 {
		return required("line_items")
	}
	if len(paths) > maxLineItems {
		return invalid("", "line_items", "You can have up to %d line items", maxLineItems)
	}
	recurs := false
	for _, path := range paths {
		item, err := o.lineItem(path)
		if err != nil {
			return err
		}
		recurs = recurs || item.Price.Recurring != nil
		if c.Currency != "" && c.Currency != item.Currency {
			return invalid("", path, "All prices on a Checkout session must have the same currency: %s and %s", c.Currency, item.Currency)
		}
		c.Currency = item.Currency
		c.Hidden.Items = append(c.Hidden.Items, item)
	}
	if want := o.p.str("currency"); want != "" && want != c.Currency {
		return invalid("", "currency", "The stand-in's prices have one currency: %s, not %s", c.Currency, want)
	}
	if recurs != (c.Mode == modeSubscription) {
		return invalid("", "line_items", "You must provide at least one recurring price in `subscription` mode, and none in `payment` mode.")
	}
	return nil
}

func (o *op) lineItem(path string) (lineItem, error) {
	quantity := o.p.integer(path + "[quantity]")
	if quantity < 1 {
		return lineItem{}, required(path + "[quantity]")
	}
	priced, name, err := o.linePrice(path)
	if err != nil {
		return lineItem{}, err
	}
	if priced.UnitAmount > 0 && quantity > maxCharge/priced.UnitAmount {
		return lineItem{}, invalid("amount_too_large", path, "Amount must be no more than %d", maxCharge)
	}
	amount := priced.UnitAmount * quantity
	return lineItem{
		ID: o.newID("li_1"), Object: "item", AmountSubtotal: amount, AmountTotal: amount, Currency: priced.Currency,
		Description: name, Price: priced, Quantity: quantity,
	}, nil
}

// linePrice finds a line's price or makes it from price_data. Stripe keeps
// such a price inactive, so that it is used once.
func (o *op) linePrice(path string) (price, string, error) {
	if id := o.p.str(path + "[price]"); id != "" {
		p, err := o.price(id, path+"[price]")
		if err != nil {
			return price{}, "", err
		}
		if !p.Active {
			return price{}, "", invalid("", path+"[price]", "The price specified is inactive. This field only accepts active prices.")
		}
		of, err := o.product(p.Product, "product")
		if err != nil {
			return price{}, "", err
		}
		return *p, of.Name, nil
	}
	data := path + "[price_data]"
	for _, name := range []string{"[currency]", "[unit_amount]"} {
		if !o.p.has(data + name) {
			return price{}, "", required(data + name)
		}
	}
	unit := o.p.integer(data + "[unit_amount]")
	if unit < 0 || unit > maxCharge {
		return price{}, "", invalid("parameter_invalid_integer", data+"[unit_amount]", "Invalid non-negative integer")
	}
	of, err := o.lineProduct(data)
	if err != nil {
		return price{}, "", err
	}
	p := o.newPrice(o.newID("price_1"), of.ID, o.p.str(data+"[currency]"), unit)
	p.Active = false
	p.TaxBehavior = o.p.strOr(data+"[tax_behavior]", p.TaxBehavior)
	if err := p.recur(o.p.str(data+"[recurring][interval]"), o.p.integer(data+"[recurring][interval_count]")); err != nil {
		return price{}, "", err
	}
	o.st.Prices.add(p.ID, p)
	return *p, of.Name, nil
}

func (o *op) lineProduct(data string) (*product, error) {
	if id := o.p.str(data + "[product]"); id != "" {
		return o.product(id, data+"[product]")
	}
	name := o.p.str(data + "[product_data][name]")
	if name == "" {
		return nil, required(data + "[product_data][name]")
	}
	if err := o.room(); err != nil {
		return nil, err
	}
	meta, err := o.p.meta(data+"[product_data][metadata]", nil)
	if err != nil {
		return nil, err
	}
	of := &product{
		ID: o.newID("prod_"), Object: "product", Created: o.now, Metadata: meta, Name: name, Updated: o.now,
		Description: text(o.p.str(data + "[product_data][description]")),
	}
	o.st.Products.add(of.ID, of)
	return of, nil
}

// sessionDiscount is the coupon that the session asks for, or one that takes
// nothing off.
func (o *op) sessionDiscount(c *session) (*coupon, error) {
	discounts := o.p.elements("discounts")
	if len(discounts) == 0 {
		return &coupon{PercentOff: new(int64)}, nil
	}
	if len(discounts) > 1 {
		return nil, invalid("", "discounts", "You can apply at most one discount")
	}
	if c.Mode != modePayment {
		return nil, invalid("", "discounts", "The stand-in applies coupons in `payment` mode alone")
	}
	if c.AllowPromotion != nil {
		return nil, invalid("", "discounts", "You may only specify one of these parameters: allow_promotion_codes, discounts.")
	}
	path := discounts[0]
	off, err := o.coupon(o.p.str(path+"[coupon]"), path+"[coupon]")
	if err != nil {
		return nil, err
	}
	if off.AmountOff != nil && string(off.Currency) != c.Currency {
		return nil, invalid("", path, "The coupon %s is in %s, the session in %s", off.ID, off.Currency, c.Currency)
	}
	return off, nil
}

// sessionAmounts applies the discount that the session asks for, and tax.
func (o *op) sessionAmounts(c *session) error {
	off, err := o.sessionDiscount(c)
	if err != nil {
		return err
	}
	return o.discounted(c, off)
}

// discounted applies a discount and tax line by line.
func (o *op) discounted(c *session, off *coupon) error {
	c.AmountSubtotal, c.AmountTotal, c.TotalDetails = 0, 0, totalDetails{}
	left := int64(0) // of an amount off, which covers the lines in turn
	if off.AmountOff != nil {
		left = *off.AmountOff
	}
	trial := c.Hidden.Subscription.TrialDays > 0 || c.Hidden.Subscription.TrialEnd > o.now
	for i := range c.Hidden.Items {
		item := &c.Hidden.Items[i]
		if trial && item.Price.Recurring != nil {
			item.AmountSubtotal = 0 // nothing is due before the trial ends
		}
		if off.AmountOff != nil {
			item.AmountDiscount = min(left, item.AmountSubtotal)
			left -= item.AmountDiscount
		} else {
			item.AmountDiscount = off.share(item.AmountSubtotal)
		}
		net := item.AmountSubtotal - item.AmountDiscount
		if c.AutomaticTax.Enabled {
			item.AmountTax = taxOn(net, o.opts.TaxBasisPoints)
			c.AutomaticTax.Status = "complete"
		}
		item.AmountTotal = net + item.AmountTax
		c.AmountSubtotal += item.AmountSubtotal
		c.AmountTotal += item.AmountTotal
		c.TotalDetails.AmountDiscount += item.AmountDiscount
		c.TotalDetails.AmountTax += item.AmountTax
	}
	if c.AmountTotal > maxCharge {
		return invalid("amount_too_large", "line_items", "Amount must be no more than %d", maxCharge)
	}
	if c.Mode == modePayment && c.AmountTotal > 0 && c.AmountTotal < minimumCharge {
		return invalid("amount_too_small", "line_items",
			"The Checkout Session's total amount must be at least %d or zero.", minimumCharge)
	}
	return nil
}

// taxOn returns the tax on a net amount, rounded to the nearest minor unit.
func taxOn(net, basisPoints int64) int64 { return (net*basisPoints + 5000) / 10_000 }
