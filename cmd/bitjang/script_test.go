package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary the program too, so that the scripts run and
// stop real processes.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bitjang": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// Cheap passwords: the cost is not what these scripts are about.
			env.Setenv("BITJANG_PASSWORD_MEMORY", "8192")
			env.Setenv("BITJANG_PASSWORD_TIME", "1")
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeaddr":  freeAddress,
			"http":      httpRequest,
			"json":      jsonField,
			"kid":       tokenKeyID,
			"line":      firstLine,
			"mode":      fileMode,
			"nosecret":  noSecret,
			"terminate": terminate,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// freeAddress is `freeaddr VAR`: an address that nobody listens on.
func freeAddress(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// firstLine is `line VAR FILE`.
func firstLine(ts *testscript.TestScript, _ bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	ts.Setenv(args[0], line)
}

// responseFile is where `http` leaves the body for `json` and `grep`.
const responseFile = "response"

// httpRequest is `http [-until REGEXP] [-H HEADER] METHOD URL STATUS [BODY]`.
// With -until it tries again until status and body are as wanted.
func httpRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("http: give the status instead of !")
	}
	var until *regexp.Regexp
	header := http.Header{"Content-Type": {"application/json"}}
	for ; strings.HasPrefix(args[0], "-"); args = args[2:] {
		switch args[0] {
		case "-until":
			until = regexp.MustCompile(args[1])
		case "-H":
			name, value, _ := strings.Cut(args[1], ": ")
			header.Set(name, value)
		default:
			ts.Fatalf("http: unknown flag %s", args[0])
		}
	}
	body := ""
	if len(args) > 3 {
		body = args[3]
	}
	want, err := strconv.Atoi(args[2])
	ts.Check(err)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status, got, err := request(args[0], args[1], header, body)
		if err == nil && status == want && (until == nil || until.MatchString(got)) {
			ts.Check(os.WriteFile(ts.MkAbs(responseFile), []byte(got), 0o600))
			return
		}
		if until == nil || time.Now().After(deadline) {
			ts.Fatalf("http: got %d %q (%v), want %d %v", status, got, err, want, until)
		}
	}
}

func request(method, url string, header http.Header, body string) (int, string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// jsonField is `json VAR FILE PATH`: a field of a JSON file, like 0.kid or
// user.email, into a variable.
func jsonField(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	for step := range strings.SplitSeq(args[2], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			v = at[i]
		}
	}
	text := fmt.Sprint(v)
	if v == nil || text == "" {
		ts.Fatalf("json: %s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], text)
}

// tokenKeyID is `kid VAR TOKEN`: the key id in the header of a JWT.
func tokenKeyID(ts *testscript.TestScript, _ bool, args []string) {
	head, _, _ := strings.Cut(args[1], ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	ts.Check(err)
	var header struct{ Kid string }
	ts.Check(json.Unmarshal(raw, &header))
	ts.Setenv(args[0], header.Kid)
}

// fileMode is `mode FILE 600`.
func fileMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("mode: %s is %s, want %s", args[0], got, args[1])
	}
}

// terminate sends SIGTERM, which the script language cannot, to what runs in
// the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// noSecret is `nosecret FILE SECRET…`: the file has none of them. An empty
// secret is a mistake in the script, which would pass for ever.
func noSecret(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, secret := range args[1:] {
		if len(secret) < 8 {
			ts.Fatalf("nosecret: %q is no secret", secret)
		}
		if strings.Contains(text, secret) {
			ts.Fatalf("nosecret: %s contains %q:\n%s", args[0], secret, text)
		}
	}
}
