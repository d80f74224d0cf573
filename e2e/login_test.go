package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// application is an example that logs people in, with the library that its
// ecosystem uses for any OpenID provider. All of them have the same paths: / says
// who is logged in, /login and /logout lead to Bitjang and back, /orders asks a
// resource server with an access token that the library refreshes.
type application struct {
	name  string
	needs string
	build func(t *testing.T, dir string) []string
	port  func(port int) []string
	heavy bool // its toolchain is: make test-examples
	told  bool // it takes logout tokens at /backchannel-logout
}

var applications = []application{
	{name: "login-go", needs: "go", build: buildGoExample, port: portVariable},
	{name: "login-node", needs: "npm", build: buildExpress, port: portVariable, told: true},
	{name: "login-python", needs: "python3", build: buildFastAPI, port: portVariable},
	{name: "login-spring", needs: "mvn", build: buildSpring, port: springPort},
}

// TestApplications takes a person through each of them: log in, call, have the
// access token expire and refreshed, be logged out elsewhere and refused within a
// second, log in again and log out.
func TestApplications(t *testing.T) {
	t.Parallel()
	for _, example := range applications {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			if example.heavy && os.Getenv("EXAMPLES") == "" {
				t.Skip("its toolchain is heavy: make test-examples")
			}
			if _, err := exec.LookPath(example.needs); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skipf("%s is not here", example.needs)
			}
			b := startBitjang(t, "BITJANG_ACCESS_TTL=4s")
			logsPeopleIn(t, example, b, startOrders(t, b))
		})
	}
}

// startOrders runs the resource server in Go, which follows the feed.
func startOrders(t *testing.T, b *bitjang) string {
	dir, err := filepath.Abs(filepath.Join("..", "examples", "go"))
	if err != nil {
		t.Fatal(err)
	}
	id, secret := b.addClient(t, "Orders API", "--grant", "client_credentials", "--scope", "revocations")
	run, port := buildGoExample(t, dir), the.free(t)
	api := start(t, newLog(t, "orders"), append(portVariable(port), "BITJANG_ISSUER=http://"+b.address, "CLIENT_ID="+id, "CLIENT_SECRET="+secret), run[0], run[1:]...)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	api.until(t, "wait for the resource server", func() error { return expect(http.Get(base + "/")) })
	return base + "/orders"
}

// addClient registers a client by the command.
func (b *bitjang) addClient(t *testing.T, args ...string) (id, secret string) {
	t.Helper()
	m := printedClient.FindSubmatch(b.cli(t, "", append([]string{"client", "add"}, args...)...))
	if m == nil {
		t.Fatal("the command prints no client")
	}
	return string(m[1]), string(m[2])
}

func logsPeopleIn(t *testing.T, example application, b *bitjang, orders string) {
	dir, err := filepath.Abs(filepath.Join("..", "examples", example.name))
	if err != nil {
		t.Fatal(err)
	}
	port := the.free(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	registration := []string{"Orders", "--redirect-uri", base + "/callback", "--redirect-uri", base + "/login/oauth2/code/bitjang", "--logout-uri", base + "/"}
	if example.told {
		registration = append(registration, "--backchannel-logout-uri", base+"/backchannel-logout")
	}
	id, secret := b.addClient(t, registration...)
	run := example.build(t, dir)
	env := append(example.port(port), "BITJANG_ISSUER=http://"+b.address, "CLIENT_ID="+id, "CLIENT_SECRET="+secret, "ORDERS_URL="+orders)
	app := start(t, newLog(t, example.name), env, run[0], run[1:]...)
	app.until(t, "wait for the example", func() error { return expect(http.Get(base + "/")) })

	p := newPerson(t)
	if p.get(base+"/orders").status == http.StatusOK {
		t.Fatal("somebody who is not logged in gets orders")
	}
	if user := p.logsInTo(base + "/login").user(); user == "" {
		t.Fatal("nobody is logged in after a login")
	}
	first := p.orders(base)
	time.Sleep(5 * time.Second) // the access token expires meanwhile
	if again := p.orders(base); again["session"] != first["session"] {
		t.Errorf("got %v after a refresh, before it %v", again, first)
	}
	if example.told {
		p.isNotFooled(base, "http://"+b.address, id, first["session"])
	}
	// Logged out elsewhere: the resource server hears of it.
	b.cli(t, "", "session", "end", "--user", email)
	ended := time.Now()
	for p.get(base+"/orders").status == http.StatusOK {
		if time.Since(ended) > patience {
			t.Fatal("an ended session still gets orders")
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("refused %v after the session had ended", time.Since(ended).Round(time.Millisecond))
	if example.told {
		p.isToldOut(base, ended)
	}
	time.Sleep(5 * time.Second) // and the refresh token is no good either
	if p.get(base+"/orders").status == http.StatusOK {
		t.Error("an ended session is refreshed")
	}
	// Logging in anew, and out again through the application.
	if user := p.logsInTo(base + "/login").user(); user == "" {
		t.Fatal("nobody is logged in after the second login")
	}
	if last := p.get(base + "/logout"); last.status != http.StatusOK || !strings.HasPrefix(last.url, base) {
		t.Fatalf("the logout leads to %d at %s", last.status, last.url)
	}
	if user := p.get(base + "/").user(); user != "" {
		t.Errorf("%s is still logged in", user)
	}
	if page := p.get(base + "/login"); !strings.Contains(page.url, b.address) || page.form == nil {
		t.Errorf("after the logout nobody is asked to log in: %s", page.url)
	}
}

// isNotFooled tells the application of an end as somebody else would.
func (p *person) isNotFooled(base, issuer, client string, session any) {
	p.t.Helper()
	part := func(v map[string]any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			p.t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	now := time.Now().Unix()
	forged := part(map[string]any{"alg": "none", "typ": "logout+jwt"}) + "." + part(map[string]any{
		"iss": issuer, "aud": client, "iat": now, "exp": now + 60, "jti": "1", "sid": session,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}) + "."
	resp, err := http.PostForm(base+"/backchannel-logout", url.Values{"logout_token": {forged}})
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || p.get(base+"/").user() == "" {
		p.t.Errorf("a forged logout token: got %d, and %q is logged in", resp.StatusCode, p.get(base+"/").user())
	}
}

// isToldOut waits until the application itself knows of the end, from Bitjang.
func (p *person) isToldOut(base string, ended time.Time) {
	p.t.Helper()
	for p.get(base+"/").user() != "" {
		if time.Since(ended) > patience {
			p.t.Fatal("nobody tells the application")
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Logf("told %v after the session had ended", time.Since(ended).Round(time.Millisecond))
}

// person has a browser without scripts: it keeps cookies, follows redirects, and
// fills in forms.
type person struct {
	t       *testing.T
	cookies map[string]map[string]string // by host with its port
}

func newPerson(t *testing.T) *person { return &person{t, map[string]map[string]string{}} }

// shownPage is what the browser shows.
type shownPage struct {
	t      *testing.T
	status int
	url    string
	body   string
	form   *form
}

type form struct {
	action string
	fields url.Values
}

func (p *person) get(target string) *shownPage { return p.request(http.MethodGet, target, nil) }

func (p *person) request(method, target string, fields url.Values) *shownPage {
	p.t.Helper()
	for range 20 {
		req, err := http.NewRequestWithContext(p.t.Context(), method, target, strings.NewReader(fields.Encode()))
		if err != nil {
			p.t.Fatal(err)
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
		}
		req.Header.Set("User-Agent", thisDevice.agent)
		req.Header.Set("Accept", "text/html,application/json")
		for name, value := range p.cookies[req.URL.Host] {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			p.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			p.t.Fatal(err)
		}
		p.keep(req.URL.Host, resp.Cookies())
		next := resp.Header.Get("Location")
		if _, refresh, ok := strings.Cut(resp.Header.Get("Refresh"), "url="); ok {
			next = refresh
		}
		if next == "" {
			return &shownPage{p.t, resp.StatusCode, target, string(body), firstForm(string(body), req.URL)}
		}
		to, err := req.URL.Parse(next)
		if err != nil {
			p.t.Fatal(err)
		}
		method, target, fields = http.MethodGet, to.String(), nil
	}
	p.t.Fatalf("redirected for ever, at last to %s", target)
	return nil
}

func (p *person) keep(host string, list []*http.Cookie) {
	if p.cookies[host] == nil {
		p.cookies[host] = map[string]string{}
	}
	for _, c := range list {
		if c.MaxAge < 0 {
			delete(p.cookies[host], c.Name)
		} else {
			p.cookies[host][c.Name] = c.Value
		}
	}
}

var (
	formTag  = regexp.MustCompile(`(?s)<main.*?(<form.*?</form>)`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	anAttr   = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// firstForm is the form of a page of ours.
func firstForm(body string, at *url.URL) *form {
	m := formTag.FindStringSubmatch(body)
	if m == nil {
		return nil
	}
	head, _, _ := strings.Cut(m[1], ">")
	f := &form{action: at.String(), fields: url.Values{}}
	if action := attributes(head)["action"]; action != "" {
		if to, err := at.Parse(action); err == nil {
			f.action = to.String()
		}
	}
	for _, input := range inputTag.FindAllString(m[1], -1) {
		if a := attributes(input); a["name"] != "" {
			f.fields.Set(a["name"], a["value"])
		}
	}
	return f
}

func attributes(tag string) map[string]string {
	list := map[string]string{}
	for _, m := range anAttr.FindAllStringSubmatch(tag, -1) {
		list[m[1]] = html.UnescapeString(m[2])
	}
	return list
}

// logsInTo goes where an application leads, and does what the pages there ask for.
func (p *person) logsInTo(target string) *shownPage {
	p.t.Helper()
	at := p.get(target)
	for range 3 {
		switch {
		case at.form == nil:
			return at
		case at.form.fields.Has("password"):
			at.form.fields.Set("email", email)
			at.form.fields.Set("password", password)
		case strings.HasSuffix(at.form.action, "/oauth2/authorize/consent"):
			at.form.fields.Set("answer", "allow")
		default:
			p.t.Fatalf("what is there to do at %s?\n%s", at.url, at.body)
		}
		at = p.request(http.MethodPost, at.form.action, at.form.fields)
	}
	p.t.Fatalf("still at %s (%d):\n%s", at.url, at.status, at.body)
	return nil
}

// user is who the application says is logged in.
func (g *shownPage) user() string {
	g.t.Helper()
	var body struct{ User string }
	if err := json.Unmarshal([]byte(g.body), &body); err != nil || g.status != http.StatusOK {
		g.t.Fatalf("%s answers %d: %s", g.url, g.status, g.body)
	}
	return body.User
}

func (p *person) orders(base string) map[string]any {
	p.t.Helper()
	g := p.get(base + "/orders")
	var body map[string]any
	if err := json.Unmarshal([]byte(g.body), &body); err != nil || g.status != http.StatusOK {
		p.t.Fatalf("/orders answers %d: %s", g.status, g.body)
	}
	return body
}
