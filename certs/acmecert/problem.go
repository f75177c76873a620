package acmecert

import "time"

// A Problem is why there is no certificate, in words for people.
type Problem struct {
	Kind Kind
	What string // what failed and why, without a full stop
	Fix  string // the next step
	// Until, with [RateLimited], is when the authority takes orders again; zero if it does not say.
	Until time.Time
	Err   error // what it comes from, if anything
}

// Error says what failed and why.
func (p *Problem) Error() string {
	if p.Err == nil {
		return p.What
	}
	return p.What + ": " + p.Err.Error()
}

// Unwrap returns what the problem comes from.
func (p *Problem) Unwrap() error { return p.Err }

// A Kind tells problems apart.
type Kind string

// The kinds of problems.
const (
	BadSetting   Kind = "setting"      // what was asked for cannot be
	NoAuthority  Kind = "unreachable"  // the authority does not answer
	NotTrusted   Kind = "not-trusted"  // the authority's own certificate is not trusted here
	NoName       Kind = "dns"          // the name does not lead anywhere
	NotReached   Kind = "connection"   // the authority cannot connect to the name
	WrongAnswer  Kind = "unauthorized" // something else answers at the name
	Refused      Kind = "refused"      // the authority gives no certificate for it
	RateLimited  Kind = "rate-limited" // too many were asked for
	Forbidden    Kind = "caa"          // the name's CAA records forbid it
	BadAccount   Kind = "account"      // the authority does not take the account
	Terms        Kind = "terms"        // the terms of service have to be agreed to
	PortTaken    Kind = "port"         // the port for the check cannot be opened
	HookFailed   Kind = "dns-hook"     // the program that changes the DNS failed
	BadFolder    Kind = "folder"       // the folder cannot be used
	Interrupted  Kind = "interrupted"  // it was ended
	OtherProblem Kind = "other"
)
