package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// resourceServer is an example: an application that checks access tokens with the
// library that its ecosystem uses.
type resourceServer struct {
	name  string
	needs string                                  // the toolchain
	build func(t *testing.T, dir string) []string // returns what runs it
	skew  time.Duration                           // how long its library admits expired tokens
	port  func(port int) []string                 // how it is told where to listen
}

var resourceServers = []resourceServer{
	{name: "go", needs: "go", build: buildGoExample, port: portVariable},
	{name: "express", needs: "npm", build: buildExpress, port: portVariable},
	{name: "fastapi", needs: "python3", build: buildFastAPI, port: portVariable},
	{name: "spring", needs: "mvn", build: buildSpring, skew: time.Minute, port: springPort},
}

func portVariable(p int) []string { return []string{fmt.Sprintf("PORT=%d", p)} }

func springPort(p int) []string {
	return []string{fmt.Sprintf("SERVER_PORT=%d", p), "SERVER_ADDRESS=127.0.0.1"}
}

// inDir runs a command that prepares an example.
func inDir(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func buildGoExample(t *testing.T, dir string) []string {
	binary := filepath.Join(t.TempDir(), "orders")
	inDir(t, dir, "go", "build", "-o", binary, ".")
	return []string{binary}
}

func buildExpress(t *testing.T, dir string) []string {
	inDir(t, dir, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	return []string{"node", filepath.Join(dir, "server.js")}
}

func buildFastAPI(t *testing.T, dir string) []string {
	venv := filepath.Join(t.TempDir(), "venv")
	inDir(t, dir, "python3", "-m", "venv", venv)
	inDir(t, dir, filepath.Join(venv, "bin", "pip"), "install", "--quiet", "-r", "requirements.txt")
	return []string{"sh", "-c", `exec "$0" --app-dir "$1" --port "$PORT" app:app`, filepath.Join(venv, "bin", "uvicorn"), dir}
}

func buildSpring(t *testing.T, dir string) []string {
	inDir(t, dir, "mvn", "-q", "-B", "package")
	jars, err := filepath.Glob(filepath.Join(dir, "target", "*.jar"))
	if err != nil || len(jars) != 1 {
		t.Fatalf("got %v, %v, want one program", jars, err)
	}
	return []string{"java", "-jar", jars[0]}
}

// TestResourceServers runs the examples against the real binary: they know its
// address and nothing else.
func TestResourceServers(t *testing.T) {
	t.Parallel()
	for _, example := range resourceServers {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(example.needs); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skipf("%s is not here", example.needs)
			}
			b := startBitjang(t, "BITJANG_ACCESS_TTL=10s")
			protectsOrders(t, example, b)
		})
	}
}

func protectsOrders(t *testing.T, example resourceServer, b *bitjang) {
	dir, err := filepath.Abs(filepath.Join("..", "examples", example.name))
	if err != nil {
		t.Fatal(err)
	}
	run, port := example.build(t, dir), the.free(t)
	env := append(example.port(port), "BITJANG_ISSUER=http://"+b.address)
	app := start(t, newLog(t, example.name), env, run[0], run[1:]...)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	app.until(t, "wait for the example", func() error { return expect(http.Get(base + "/")) })
	orders := func(token string) (int, map[string]any, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body map[string]any
		_ = json.NewDecoder(resp.Body).Decode(&body) // a refusal may have none
		return resp.StatusCode, body, resp.Header
	}
	login := postLogin(t, b)
	for what, bad := range map[string]string{
		"no token":            "",
		"a refresh token":     login.Refresh,
		"a changed signature": login.Access[:len(login.Access)-10] + strings.Repeat("A", 10),
		"another algorithm":   unsigned(t, login.Access),
		"something else":      "x.y.z",
		"a token without typ": retyped(t, login.Access),
	} {
		if status, _, header := orders(bad); status != http.StatusUnauthorized || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: got %d, WWW-Authenticate %q, want 401 and Bearer", what, status, header.Get("WWW-Authenticate"))
		}
	}
	status, body, _ := orders(login.Access)
	if status != http.StatusOK || body["user"] != login.User || body["session"] != login.Session {
		t.Errorf("got %d %v, want 200 for %s in %s", status, body, login.User, login.Session)
	}
	b.kill()
	if status, _, _ = orders(login.Access); status != http.StatusOK {
		t.Errorf("without Bitjang: got %d, want 200: a valid token needs nobody", status)
	}
	expired := time.Now().Add(10*time.Second + example.skew + patience)
	for status == http.StatusOK && time.Now().Before(expired) {
		time.Sleep(500 * time.Millisecond)
		status, _, _ = orders(login.Access)
	}
	if status != http.StatusUnauthorized {
		t.Errorf("an expired token: got %d, want 401", status)
	}
}

type loggedIn struct{ Access, Refresh, User, Session string }

func postLogin(t *testing.T, b *bitjang) loggedIn {
	t.Helper()
	resp, err := http.Post(b.url("/v1/login"), "application/json", strings.NewReader(fmt.Sprintf(`{"identifier":%q,"password":%q}`, email, password)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		SessionID    string `json:"session_id"`
		User         struct{ ID string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		t.Fatalf("log in: %s, %v", resp.Status, err)
	}
	return loggedIn{out.AccessToken, out.RefreshToken, out.User.ID, out.SessionID}
}

// unsigned is the token with "alg":"none" and no signature.
func unsigned(t *testing.T, token string) string {
	return withHeader(t, token, func(h map[string]any) { h["alg"] = "none" }, false)
}

// retyped is the token with another typ, which its signature does not cover.
func retyped(t *testing.T, token string) string {
	return withHeader(t, token, func(h map[string]any) { delete(h, "typ") }, true)
}

func withHeader(t *testing.T, token string, edit func(map[string]any), sign bool) string {
	t.Helper()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	edit(header)
	if raw, err = json.Marshal(header); err != nil {
		t.Fatal(err)
	}
	parts[0] = base64.RawURLEncoding.EncodeToString(raw)
	if !sign {
		parts[2] = ""
	}
	return strings.Join(parts, ".")
}
