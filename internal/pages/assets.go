package pages

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/bitjang/bitjang/internal/web"
)

//go:embed style.css
var ownStyle string

//go:embed times.js
var ownScript string

//go:embed passkey.js
var ownPasskeys string

//go:embed icon.svg
var ownIcon []byte

type asset struct {
	kind string
	body []byte
}

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// makeAssets gives every file a name that changes with its content, so that
// browsers may keep it for ever.
func (p *Pages) makeAssets() error {
	p.assets = map[string]asset{}
	add := func(name, kind string, body []byte) string {
		sum := sha256.Sum256(body)
		file := name + "." + hex.EncodeToString(sum[:6])
		p.assets[file] = asset{kind, body}
		return "/account/assets/" + file
	}
	color := p.Theme.Color
	if color == "" {
		color = "#2f5bd8"
	}
	if !hexColor.MatchString(color) {
		return fmt.Errorf("Theme.Color: %q is not a colour like #2f5bd8", color)
	}
	ink, onPaper := "#ffffff", color
	if luminance(color) > 0.2 { // white on it would not be readable, nor it on white
		ink, onPaper = "#101418", "color-mix(in oklab,"+color+" 45%,#000)"
	}
	style := ":root{--accent:" + color + ";--on-accent:" + ink + ";--accent-on-paper:" + onPaper + "}\n" + ownStyle
	p.style = add("style.css", "text/css; charset=utf-8", append([]byte(style), p.Theme.CSS...))
	p.script = add("times.js", "text/javascript; charset=utf-8", []byte(ownScript))
	p.passkeys = add("passkey.js", "text/javascript; charset=utf-8", []byte(ownPasskeys))
	p.icon = add("icon.svg", "image/svg+xml", ownIcon)
	if len(p.Theme.Logo) > 0 {
		p.logo = add("logo", p.Theme.LogoType, p.Theme.Logo)
	}
	return nil
}

// luminance is roughly WCAG's relative luminance.
func luminance(color string) float64 {
	channel := func(i int) float64 {
		n, _ := strconv.ParseUint(color[i:i+2], 16, 8)
		v := float64(n) / 255
		return v * v
	}
	return 0.2126*channel(1) + 0.7152*channel(3) + 0.0722*channel(5)
}

// Asset is GET /account/assets/{file}.
func (p *Pages) Asset(w http.ResponseWriter, r *http.Request) error {
	a, ok := p.assets[r.PathValue("file")]
	if !ok {
		return web.Refuse(http.StatusNotFound, "not_found", "There is no such file.")
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'") // a logo in SVG may have styles, and no scripts
	_, _ = w.Write(a.body)                                                                                    // the caller is gone: nobody to tell
	return nil
}
