package doctor

import "time"

// The differences between two clocks that matter: a little makes times in lists
// look odd, much makes keys and tokens expire at the wrong time and certificates
// invalid.
const (
	skewOdd = 2 * time.Second
	skewBad = time.Minute
)

// skew returns how much the other clock is ahead of ours at least. It said the
// time said, cut to the precision, between asked and answered by ours.
func skew(asked, answered, said time.Time, precision time.Duration) time.Duration {
	if ahead := said.Sub(answered); ahead > 0 {
		return ahead
	}
	if behind := said.Add(precision).Sub(asked); behind < 0 {
		return behind
	}
	return 0
}

const mendClock = "let NTP (chrony, systemd-timesyncd) set the clocks of both machines"

// clock judges the clock of whose against ours.
func (r *Report) clock(check, whose string, asked, answered, said time.Time, precision time.Duration) {
	if said.IsZero() {
		r.Warn(check, "let the Date header of its answers through", "%s does not tell the time", whose)
		return
	}
	off := skew(asked, answered, said, precision)
	text := "ahead of"
	if off < 0 {
		off, text = -off, "behind"
	}
	shown := off.Round(100 * time.Millisecond)
	switch {
	case off >= skewBad:
		r.Fail(check, mendClock, "the clock of %s is %v %s this machine's", whose, shown, text)
	case off >= skewOdd:
		r.Warn(check, mendClock, "the clock of %s is %v %s this machine's", whose, shown, text)
	default:
		r.Ok(check, "the clock of %s agrees with this machine's", whose)
	}
}
