package acmecert

import "time"

// An Event is something that a [Manager] has done, or could not do.
type Event struct {
	Kind EventKind
	Name string
	// Account and Terms, with [Registering]: the e-mail address, if any, and the address of the
	// terms of service to which registering agrees, if the authority has some.
	Account, Terms string
	// Issuer, with [Found], [Obtained] and [Renewed], is the common name of who signed the
	// certificate. NotAfter is when it ends; also with [Failed], if there is one in use.
	Issuer   string
	NotAfter time.Time
	// CertFile and KeyFile, with [Found], [Obtained] and [Renewed], are where it is in the folder.
	CertFile, KeyFile string
	// Problem, with [Failed] and [Leftover], says why, and Next, with [Failed], when it is tried again.
	Problem *Problem
	Next    time.Time
}

// An EventKind tells what an [Event] is about.
type EventKind string

// The kinds of events.
const (
	Registering EventKind = "registering" // an account is made with the authority
	Ordering    EventKind = "ordering"    // a certificate is asked for
	Found       EventKind = "found"       // the folder had a certificate, or got one from another process
	Obtained    EventKind = "obtained"    // there is a first certificate
	Renewed     EventKind = "renewed"     // there is a new certificate
	Failed      EventKind = "failed"      // there is none, or no new one
	Waiting     EventKind = "waiting"     // for the record that [Config.DNSHook] has made to be seen
	Leftover    EventKind = "leftover"    // that record could not be taken away: see Problem
)

// A State is what is known of the certificate for a name.
type State struct {
	Name      string
	Authority string // its host
	// NotBefore and NotAfter bound the certificate's life, Issuer is who signed it; zero without one.
	NotBefore, NotAfter time.Time
	Issuer              string
	CertFile, KeyFile   string
	// Problem, if set, is why the last try to get or renew it failed, at FailedAt; Next is when
	// it is tried again, by a manager that runs.
	Problem        *Problem
	FailedAt, Next time.Time
}
