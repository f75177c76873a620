package relay

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrImpairment is wrapped by the errors of [ParseImpairment] and [Server.Impair].
var ErrImpairment = errors.New("bad network")

// Impairment is a bad network, in one direction: a round trip has Delay twice. The
// zero value is a good one.
type Impairment struct {
	Loss    float64       // the part of all packets that is lost, each by itself; 0 to 1
	Delay   time.Duration // the mean
	Jitter  time.Duration // the standard deviation of the delay, which varies slowly; at most half of Delay
	Rate    int           // in bits per second of payload; 0 is no bound
	Reorder float64       // the part of all packets that later ones overtake; 0 to 1
}

// maxDelay is far more than a call survives.
const maxDelay = 10 * time.Second

// minRate is one full packet per second.
const minRate = 8 * maxPayload

// Presets are the names that [ParseImpairment] knows, sorted.
func Presets() []string { return []string{"3g", "lift", "satellite", "wifi-busy"} }

// preset is what a name stands for: our own choice of a plausible case, no standard.
func preset(name string) (spec string, ok bool) {
	switch name {
	case "3g": // a phone in the countryside
		return "loss=1%,delay=100ms,jitter=20ms,rate=1600kbps", true
	case "lift": // the doors have closed
		return "loss=35%,delay=250ms,jitter=80ms,rate=100kbps", true
	case "satellite": // a geostationary one: 36,000 km up and down
		return "loss=0.5%,delay=280ms,jitter=10ms,rate=10mbps", true
	case "wifi-busy": // a conference room
		return "loss=3%,delay=15ms,jitter=7ms,rate=8mbps,reorder=0.5%", true
	}
	return "", false
}

// ParseImpairment understands the names of [Presets], "off" or "" for a good network,
// and "loss=5%,delay=100ms,jitter=20ms,rate=500kbps,reorder=1%", of which every part
// can be left out. Its errors wrap [ErrImpairment].
func ParseImpairment(spec string) (Impairment, error) {
	spec = strings.ToLower(spec)
	var i Impairment
	if spec == "" || spec == "off" {
		return i, nil
	}
	parts, ok := preset(spec)
	if !ok {
		parts = spec
	}
	var seen []string
	for part := range strings.SplitSeq(parts, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return Impairment{}, fmt.Errorf("%w: %q is not understood: write off, %s, or for example loss=5%%,delay=100ms,rate=500kbps",
				ErrImpairment, part, strings.Join(Presets(), ", "))
		}
		if slices.Contains(seen, name) {
			return Impairment{}, fmt.Errorf("%w: %s is there twice", ErrImpairment, name)
		}
		seen = append(seen, name)
		if err := i.set(name, value); err != nil {
			return Impairment{}, err
		}
	}
	return i, i.validate()
}

func (i *Impairment) set(name, value string) error {
	var err error
	example := ""
	switch name {
	case "loss":
		i.Loss, err = parsePercent(value)
		example = "5%"
	case "reorder":
		i.Reorder, err = parsePercent(value)
		example = "1%"
	case "delay":
		i.Delay, err = time.ParseDuration(value)
		example = "100ms"
	case "jitter":
		i.Jitter, err = time.ParseDuration(value)
		example = "20ms"
	case "rate":
		i.Rate, err = parseRate(value)
		example = "500kbps"
	default:
		return fmt.Errorf("%w: there is no %q; there are loss, delay, jitter, rate and reorder", ErrImpairment, name)
	}
	if err != nil {
		return fmt.Errorf("%w: %s=%s is not understood: write for example %s=%s", ErrImpairment, name, value, name, example)
	}
	return nil
}

func parsePercent(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	if !ok {
		return 0, strconv.ErrSyntax
	}
	f, err := strconv.ParseFloat(number, 64)
	return f / 100, err
}

// parseRate understands bps, kbps and mbps: bits, in powers of ten.
func parseRate(s string) (int, error) {
	for _, unit := range []struct {
		name string
		bits float64
	}{{"kbps", 1e3}, {"mbps", 1e6}, {"bps", 1}} {
		if number, ok := strings.CutSuffix(s, unit.name); ok {
			f, err := strconv.ParseFloat(number, 64)
			if err != nil || !(f*unit.bits >= 1 && f*unit.bits <= 1e12) { // 0 would be no bound
				return 0, strconv.ErrRange
			}
			return int(f * unit.bits), nil
		}
	}
	return 0, strconv.ErrSyntax
}

// validate returns an error that wraps ErrImpairment.
func (i Impairment) validate() error {
	switch {
	case !(i.Loss >= 0 && i.Loss <= 1) || !(i.Reorder >= 0 && i.Reorder <= 1): // NaN, too
		return fmt.Errorf("%w: loss and reorder are from 0%% to 100%%", ErrImpairment)
	case i.Delay < 0 || i.Delay > maxDelay || i.Jitter < 0:
		return fmt.Errorf("%w: delay and jitter are from 0s to %s", ErrImpairment, maxDelay)
	case i.Jitter > i.Delay/2:
		return fmt.Errorf("%w: jitter=%s needs delay=%s or more, because no packet arrives before it was sent",
			ErrImpairment, i.Jitter, 2*i.Jitter)
	case i.Rate != 0 && i.Rate < minRate:
		return fmt.Errorf("%w: a rate below %dbps does not let one packet through in a second", ErrImpairment, minRate)
	}
	return nil
}

// String is what [ParseImpairment] understands.
func (i Impairment) String() string {
	if i == (Impairment{}) {
		return "off"
	}
	var parts []string
	add := func(is bool, name, value string) {
		if is {
			parts = append(parts, name+"="+value)
		}
	}
	add(i.Loss != 0, "loss", percent(i.Loss))
	add(i.Delay != 0, "delay", i.Delay.String())
	add(i.Jitter != 0, "jitter", i.Jitter.String())
	switch {
	case i.Rate%1000 == 0:
		add(i.Rate != 0, "rate", strconv.Itoa(i.Rate/1000)+"kbps")
	default:
		add(true, "rate", strconv.Itoa(i.Rate)+"bps")
	}
	add(i.Reorder != 0, "reorder", percent(i.Reorder))
	return strings.Join(parts, ",")
}

// percent has six digits, so that 0.07*100 is 7.
func percent(f float64) string { return strconv.FormatFloat(f*100, 'g', 6, 64) + "%" }
