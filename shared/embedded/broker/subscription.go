package broker

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// Defaults and bounds of a subscription.
const (
	defaultAckDeadline = 10 * time.Second
	maxAckDeadline     = 600 * time.Second
	defaultAttempts    = 5
	maxAttempts        = 100
	maxBackoff         = 600 * time.Second
	defaultConcurrency = 100
	maxConcurrency     = 1000

	// deletedTopic stands for the topic of a subscription that outlived it.
	deletedTopic = "_deleted-topic_"
	// inProcessURL is where a push to a Handler without a URL claims to go.
	inProcessURL = "http://in-process.invalid/"
)

// pushBackoff is production's for a push subscription without a retry policy of its own; a pull subscription without
// one is retried at once.
var pushBackoff = Retry{Min: 100 * time.Millisecond, Max: 60 * time.Second}

var (
	topicName        = regexp.MustCompile(`^projects/([^/\s]+)/topics/([A-Za-z][A-Za-z0-9\-_.~+%]{2,254})$`)
	subscriptionName = regexp.MustCompile(`^projects/([^/\s]+)/subscriptions/([A-Za-z][A-Za-z0-9\-_.~+%]{2,254})$`)
)

// A Subscription says where the messages of a topic go. With a Handler or a URL it is a push subscription; with
// neither, messages wait to be pulled.
//
// Over gRPC the bounds are production's: an AckDeadline of 10 to 600 s, 5 to 100 MaxAttempts. Subscribe also accepts
// less, so that tests need not wait.
type Subscription struct {
	// Name is projects/PROJECT/subscriptions/NAME, Topic projects/PROJECT/topics/NAME.
	Name, Topic string
	// URL receives the pushes, unless Handler serves the requests that would go there.
	URL     string
	Handler http.Handler `json:"-"`
	// AckDeadline bounds a push or a puller's lease; 0 means 10 s.
	AckDeadline time.Duration
	// Retry is the back-off after a failed attempt; nil means 100 ms to 60 s for pushes, none for pulling.
	Retry *Retry
	// DeadLetterTopic receives what was not acknowledged after MaxAttempts (0 means 5); empty means never to give up.
	DeadLetterTopic string
	MaxAttempts     int
	// Ordered makes ordering keys count.
	Ordered bool
	// Filter keeps out messages whose attributes do not match; see README.md for the supported part of the language.
	Filter string
	// ServiceAccount, if set, has Options.TokenSource sign each push, for Audience or else for the URL.
	ServiceAccount, Audience string
	// Concurrency bounds the pushes out at a time; 0 means 100.
	Concurrency int

	// inProcess says that URL is served by a Handler, though it may not be known since a restart.
	inProcess bool
}

// complete checks s and fills in what it leaves to defaults.
func (s Subscription) complete(tokens TokenSource) (Subscription, filter, error) {
	if !subscriptionName.MatchString(s.Name) {
		return s, nil, fmt.Errorf("subscription name %q is not projects/PROJECT/subscriptions/NAME", s.Name)
	}
	if s.Topic != deletedTopic && !topicName.MatchString(s.Topic) {
		return s, nil, fmt.Errorf("topic name %q is not projects/PROJECT/topics/NAME", s.Topic)
	}
	if s.Handler != nil && s.URL == "" {
		s.URL = inProcessURL
	}
	s.inProcess = s.inProcess || s.Handler != nil
	if s.AckDeadline == 0 {
		s.AckDeadline = defaultAckDeadline
	}
	if s.Concurrency == 0 {
		s.Concurrency = defaultConcurrency
	}
	if s.DeadLetterTopic != "" && s.MaxAttempts == 0 {
		s.MaxAttempts = defaultAttempts
	}
	match, err := parseFilter(s.Filter)
	return s, match, errors.Join(err, s.checkBounds(), s.checkPush(tokens))
}

func (s Subscription) checkBounds() error {
	switch {
	case s.AckDeadline < 0 || s.AckDeadline > maxAckDeadline:
		return fmt.Errorf("ack deadline %v is not within (0, %v]", s.AckDeadline, maxAckDeadline)
	case s.Concurrency < 0 || s.Concurrency > maxConcurrency:
		return fmt.Errorf("concurrency %d is not within [1, %d]", s.Concurrency, maxConcurrency)
	case s.MaxAttempts < 0 || s.MaxAttempts > maxAttempts:
		return fmt.Errorf("max delivery attempts %d are more than %d", s.MaxAttempts, maxAttempts)
	case s.MaxAttempts > 0 && s.DeadLetterTopic == "":
		return fmt.Errorf("max delivery attempts %d without a dead-letter topic", s.MaxAttempts)
	case s.DeadLetterTopic != "" && !topicName.MatchString(s.DeadLetterTopic):
		return fmt.Errorf("dead-letter topic name %q is not projects/PROJECT/topics/NAME", s.DeadLetterTopic)
	case s.Retry != nil && (s.Retry.Min < 0 || s.Retry.Max > maxBackoff || s.Retry.Min > s.Retry.Max):
		return fmt.Errorf("back-off from %v to %v is not within [0, %v]", s.Retry.Min, s.Retry.Max, maxBackoff)
	}
	return nil
}

func (s Subscription) checkPush(tokens TokenSource) error {
	if s.URL == "" {
		if s.ServiceAccount != "" {
			return fmt.Errorf("service account %q on a subscription that does not push", s.ServiceAccount)
		}
		return nil
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return fmt.Errorf("push endpoint: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("push endpoint %q is not an http or https URL", s.URL)
	}
	if s.ServiceAccount != "" && tokens == nil {
		return fmt.Errorf("service account %q: the broker has no TokenSource to sign for it", s.ServiceAccount)
	}
	return nil
}

func (s Subscription) isPush() bool { return s.URL != "" }

// canPush reports whether messages can be pushed now: a restored subscription's Handler is not known yet.
func (s Subscription) canPush() bool { return s.isPush() && (!s.inProcess || s.Handler != nil) }

// backoff returns the wait after the nth failed attempt.
func (s Subscription) backoff(attempt int) time.Duration {
	switch {
	case s.Retry != nil && s.isPush():
		// A push that fails at once and is retried at once would do nothing else.
		return max(s.Retry.after(attempt), time.Millisecond)
	case s.Retry != nil:
		return s.Retry.after(attempt)
	case s.isPush():
		return pushBackoff.after(attempt)
	default:
		return 0
	}
}

// nameParts returns the project and the short name in a topic's or subscription's name that was checked before.
func nameParts(name string) (project, short string) {
	m := subscriptionName.FindStringSubmatch(name)
	if m == nil {
		m = topicName.FindStringSubmatch(name)
	}
	if m == nil {
		return "", name
	}
	return m[1], m[2]
}
