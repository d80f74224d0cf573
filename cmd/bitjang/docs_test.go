package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

const configurationIntro = `# Configuration

Flags come before environment variables, those before the file: ` + "`bitjang.yaml`" + ` in the working directory, or ` + "`--config FILE`" + `.
The flag of ` + "`BITJANG_ACCESS_TTL` is `--access-ttl`, its key in the file `access_ttl`" + `. Unknown variables that begin with
` + "`BITJANG_`" + ` and unknown keys are errors. Durations are written like ` + "`90s`, `10m`, `336h` or `14d`" + `.

` + "`bitjang config`" + ` prints what is in force and where each value comes from, secrets left out. ` + "`bitjang check`" + ` tries
everything and names all problems at once.

| variable | default | meaning |
|---|---|---|
`

// TestConfigurationPage keeps docs/configuration.md equal to the table.
func TestConfigurationPage(t *testing.T) {
	var page strings.Builder
	page.WriteString(configurationIntro)
	for _, s := range settings {
		preset, doc := "", s.doc
		if s.preset != "" {
			preset = "`" + s.preset + "`"
		}
		if s.secret {
			doc += "; has no flag, because command lines are no secret"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", s.env(), preset, doc)
	}
	const file = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, _ := os.ReadFile(file); string(have) != page.String() {
		t.Error("docs/configuration.md is not what the table of settings says; go test -run TestConfigurationPage ./cmd/bitjang -update")
	}
}
