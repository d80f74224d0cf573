package pages

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
)

// why answers "why was I logged out?" in one sentence, "" if nobody need ask.
func (p *Pages) why(r *http.Request, say *i18n.Printer, userID string) (string, error) {
	all, err := p.Service.Explain(r.Context(), userID, bitjang.SessionID{})
	if err != nil {
		return "", err
	}
	for i := range all {
		if !all[i].Asked() {
			return sentence(say, &all[i]), nil
		}
	}
	return "", nil
}

func sentence(say *i18n.Printer, x *bitjang.Explanation) string {
	d := x.Session.Device
	label := d.Label()
	name := cmp.Or(d.Name, device{Browser: label.Browser, OS: label.OS}.on(say), say.T("device.unknown"))
	id := "why." + x.Reason
	if x.State == "held" {
		id = "why.held." + x.Reason
	}
	noticed := cmp.Or(inWords(say, x.Signals), say.T("signal.unknown"))
	return say.T(id, "Device", name, "When", say.Time(x.At), "Noticed", noticed)
}

// inWords is what was noticed. Of values only countries are said: they come from
// our own database, and most others from whoever sent the request.
func inWords(say *i18n.Printer, signals []bitjang.Signal) string {
	var words []string
	for _, s := range bitjang.PlainSignals(signals) {
		words = append(words, say.T("signal."+s.Name, "Value", strings.ReplaceAll(s.Value, ">", " → ")))
	}
	return strings.Join(words, ", ")
}
