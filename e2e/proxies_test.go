package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// startNginx runs nginx with the recipe of examples/nginx.
func startNginx(t *testing.T, port int, bitjang, app string) {
	t.Helper()
	binary := findNginx(t)
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	values := map[string]string{
		"LISTEN": fmt.Sprintf("127.0.0.1:%d", port), "SERVER_NAME": "localhost",
		"TLS_CERTIFICATE": cert, "TLS_KEY": key, "BITJANG_ADDRESS": bitjang, "APP_ADDRESS": app,
	}
	recipe, err := os.ReadFile("../examples/nginx/nginx.conf.template")
	if err != nil {
		t.Fatal(err)
	}
	filled := regexp.MustCompile(`\$\{[A-Z_]+\}`).ReplaceAllStringFunc(string(recipe), func(name string) string {
		return values[name[2:len(name)-1]]
	})
	write(t, filepath.Join(dir, "app.conf"), filled)
	// One process, so that nothing outlives it; and nothing outside dir.
	write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	include %[1]s/app.conf;
}`, dir))
	p := start(t, newLog(t, "nginx"), nil, binary, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	waitTLS(t, p, port)
}

// findNginx skips the test on a machine without nginx, except in CI, where a
// skipped test would go unnoticed.
func findNginx(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no nginx, and CI is set: install it")
	}
	t.Skip("there is no nginx: install it to run this test")
	return ""
}

// startCaddy runs Caddy with the recipe of examples/caddy. The recipe is left
// as it is; Caddy's own authority stands in for Let's Encrypt.
func startCaddy(t *testing.T, port int, bitjang, app string) {
	t.Helper()
	binary, err := the.programs.caddy()
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := filepath.Abs("../examples/caddy/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	write(t, file, fmt.Sprintf("{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\nimport %s\n", recipe))
	env := []string{
		"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir,
		fmt.Sprintf("SITE=https://localhost:%d", port), "BITJANG=" + bitjang, "APP=" + app,
	}
	p := start(t, newLog(t, "caddy"), env, binary, "run", "--config", file, "--adapter", "caddyfile")
	waitTLS(t, p, port)
}

func waitTLS(t *testing.T, p *process, port int) {
	t.Helper()
	p.until(t, "wait for the proxy", func() error {
		conn, err := tls.Dial("tcp", fmt.Sprintf("localhost:%d", port), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// selfSigned makes a certificate for localhost.
func selfSigned(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return certFile, keyFile
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
