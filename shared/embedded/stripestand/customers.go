package stripestand

type address struct {
	City       text `json:"city"`
	Country    text `json:"country"`
	Line1      text `json:"line1"`
	Line2      text `json:"line2"`
	PostalCode text `json:"postal_code"`
	State      text `json:"state"`
}

// customer is a Customer; Balance is in minor units, negative when the
// customer has credit.
type customer struct {
	ID                  string           `json:"id"`
	Object              string           `json:"object"`
	Address             *address         `json:"address"`
	Balance             int64            `json:"balance"`
	Created             int64            `json:"created"`
	Currency            text             `json:"currency"`
	Delinquent          bool             `json:"delinquent"`
	Description         text             `json:"description"`
	Email               text             `json:"email"`
	InvoicePrefix       string           `json:"invoice_prefix"`
	InvoiceSettings     customerInvoices `json:"invoice_settings"`
	Metadata            metadata         `json:"metadata"`
	Name                text             `json:"name"`
	NextInvoiceSequence int64            `json:"next_invoice_sequence"`
	Phone               text             `json:"phone"`
	TaxExempt           string           `json:"tax_exempt"`
}

type customerInvoices struct {
	DefaultPaymentMethod text `json:"default_payment_method"`
}

var (
	customerParams = newSpec("address[city]", "address[country]", "address[line1]", "address[line2]",
		"address[postal_code]", "address[state]", "description", "email", "invoice_settings[default_payment_method]",
		"metadata map", "name", "phone", "tax_exempt none|exempt|reverse")
	customerEndpoints = []endpointSpec{
		{"POST /v1/customers", customerParams.with(newSpec("payment_method")), (*op).createCustomer},
		{"GET /v1/customers", newSpec("email").with(pageParams, createdParams), (*op).listCustomers},
		{"GET /v1/customers/search", searchParams, func(o *op) (any, error) {
			return search(o, "/v1/customers/search", &o.st.Customers, (*customer).searchField)
		}},
		{"GET /v1/customers/{id}", newSpec(), func(o *op) (any, error) { return o.customer(o.id, "id") }},
		{"POST /v1/customers/{id}", customerParams, (*op).updateCustomer},
	}
)

func (s *Stand) customer(id, param string) (*customer, error) {
	c, ok := s.st.Customers.get(id)
	if !ok {
		return nil, missing("customer", param, id)
	}
	return c, nil
}

func (c *customer) searchField(field string) (string, bool) {
	switch field {
	case "email":
		return string(c.Email), true
	case "name":
		return string(c.Name), true
	default:
		return c.Metadata.searchField(field)
	}
}

func (o *op) createCustomer() (any, error) {
	meta, err := o.p.meta("metadata", nil)
	if err != nil {
		return nil, err
	}
	method := o.p.str("payment_method")
	if err := o.checkMethod(method, "payment_method"); err != nil {
		return nil, err
	}
	if o.p.str("invoice_settings[default_payment_method]") != "" && method == "" {
		return nil, missing("payment_method", "invoice_settings[default_payment_method]",
			o.p.str("invoice_settings[default_payment_method]"))
	}
	c, err := o.newCustomer(meta)
	if err != nil {
		return nil, err
	}
	o.applyCustomer(c)
	if method != "" {
		pm, err := o.attach(method, c.ID)
		if err != nil {
			return nil, err
		}
		if o.p.has("invoice_settings[default_payment_method]") {
			c.InvoiceSettings.DefaultPaymentMethod = text(pm.ID)
		}
	}
	return c, o.emit("customer.created", c)
}

// newCustomer adds a customer without saying so by an event.
func (o *op) newCustomer(meta metadata) (*customer, error) {
	if err := o.room(); err != nil {
		return nil, err
	}
	c := &customer{
		ID: o.newID("cus_"), Object: "customer", Created: o.now, Metadata: meta,
		NextInvoiceSequence: 1, TaxExempt: "none",
	}
	c.InvoicePrefix = invoicePrefix(c.ID)
	o.st.Customers.add(c.ID, c)
	return c, nil
}

func (o *op) applyCustomer(c *customer) {
	for name, dst := range map[string]*text{
		"description": &c.Description, "email": &c.Email, "name": &c.Name, "phone": &c.Phone,
	} {
		o.p.applyText(name, dst)
	}
	c.TaxExempt = o.p.strOr("tax_exempt", c.TaxExempt)
	if !o.p.has("address") {
		return
	}
	if c.Address == nil {
		c.Address = &address{}
	}
	for name, dst := range map[string]*text{
		"city": &c.Address.City, "country": &c.Address.Country, "line1": &c.Address.Line1,
		"line2": &c.Address.Line2, "postal_code": &c.Address.PostalCode, "state": &c.Address.State,
	} {
		o.p.applyText("address["+name+"]", dst)
	}
}

func (o *op) updateCustomer() (any, error) {
	c, err := o.customer(o.id, "id")
	if err != nil {
		return nil, err
	}
	meta, err := o.p.meta("metadata", c.Metadata)
	if err != nil {
		return nil, err
	}
	method := o.p.str("invoice_settings[default_payment_method]")
	if method != "" {
		pm, err := o.method(method, "invoice_settings[default_payment_method]")
		if err != nil {
			return nil, err
		}
		if string(pm.Customer) != c.ID {
			return nil, invalid("", "invoice_settings[default_payment_method]",
				"The customer does not have a payment method with the ID %s. The payment method must be attached to the customer.", method)
		}
	}
	return c, o.change("customer.updated", c, func() {
		c.Metadata = meta
		o.applyCustomer(c)
		o.p.applyText("invoice_settings[default_payment_method]", &c.InvoiceSettings.DefaultPaymentMethod)
	})
}

func (o *op) listCustomers() (any, error) {
	return page(o, "/v1/customers", &o.st.Customers, func(c *customer) bool {
		return o.wants("email", string(c.Email)) && o.inCreatedRange(c.Created)
	})
}

func (s *Stand) subscriptionsOf(customerID string) []*subscription {
	out := []*subscription{}
	for i := s.st.Subscriptions.len() - 1; i >= 0 && len(out) < maxPage; i-- {
		if sub := s.st.Subscriptions.at(i); sub.Customer == customerID && !sub.over() {
			out = append(out, sub)
		}
	}
	return out
}
