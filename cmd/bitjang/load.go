package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

// defaultFile is read where it exists; a file that was asked for must exist.
const defaultFile = "bitjang.yaml"

// value is what a setting has come to, and by whom.
type value struct {
	*setting
	text   string
	source string // default, file, env or flag
}

// problem is something wrong with a setting.
type problem struct {
	where string
	err   error
}

func (p problem) String() string { return p.where + ": " + p.err.Error() }

// addSettings gives cmd a flag for every setting that is no secret. Those that
// common does not name work there too, but stay out of its help.
func addSettings(cmd *cobra.Command, common ...string) {
	flags := cmd.Flags()
	flags.SortFlags = false
	for i := range settings {
		s := &settings[i]
		if s.secret {
			continue
		}
		flags.String(s.name, s.preset, s.doc+" ["+s.env()+"]")
		flags.Lookup(s.name).Hidden = len(common) > 0 && !slices.Contains(common, s.name)
	}
	flags.String("config", "", "configuration file; "+defaultFile+" in the working directory unless given")
}

// addStoreSettings is addSettings for commands that only look into the store.
func addStoreSettings(cmd *cobra.Command) { addSettings(cmd, "data-dir", "database", "sessions") }

// load reads all settings and fails with every problem at once.
func (p *program) load(cmd *cobra.Command) (*config, []value, error) {
	c, values, problems := resolve(cmd.Flags(), p.environ())
	if len(problems) == 0 {
		return c, values, nil
	}
	var text strings.Builder
	if len(problems) == 1 {
		text.WriteString("a setting cannot be used:")
	} else {
		fmt.Fprintf(&text, "%d settings cannot be used:", len(problems))
	}
	for _, problem := range problems {
		text.WriteString("\n  " + problem.String())
	}
	return nil, nil, hinted(errors.New(text.String()), `"bitjang serve --help" lists all settings, their variables and defaults`)
}

// resolve brings flags, environment and file together. A setting with a
// problem is left empty, so that what can be judged without it still is.
func resolve(flags *pflag.FlagSet, environ []string) (*config, []value, []problem) {
	c := &config{}
	env, problems := readEnvironment(environ)
	file, fileProblems := c.readFile(flags)
	problems = append(problems, fileProblems...)
	values := make([]value, 0, len(settings))
	for i := range settings {
		v := value{setting: &settings[i], text: settings[i].preset, source: "default"}
		where := v.name
		if given, ok := file[v.key()]; ok {
			v.text, v.source, where = given.text, "file", fmt.Sprintf("%s:%d: %s", c.file, given.line, v.key())
		}
		if text := env[v.env()]; text != "" {
			v.text, v.source, where = text, "env", v.env()
		}
		if f := flags.Lookup(v.name); f != nil && f.Changed {
			v.text, v.source, where = f.Value.String(), "flag", "--"+v.name
		}
		if v.source != "default" || v.text != "" {
			if err := v.set(c, v.text); err != nil {
				problems = append(problems, problem{where, err})
			}
		}
		values = append(values, v)
	}
	derive(c, values)
	return c, values, append(problems, refusals(c, values)...)
}

// derive fills in the defaults that depend on other settings.
func derive(c *config, values []value) {
	for i := range values {
		v := &values[i]
		if v.derived == nil || v.source != "default" {
			continue
		}
		v.text = v.derived(c)
		_ = v.set(c, v.text) // it depends on a setting that has been complained about
	}
}

// readEnvironment picks our variables. An empty one counts as absent, because
// that is what deployment tools make of an absent one.
func readEnvironment(environ []string) (map[string]string, []problem) {
	env := map[string]string{}
	var problems []problem
	for _, line := range environ {
		name, text, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, "BITJANG_") || isServiceLink(name, text) {
			continue
		}
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.env() == name }) {
			problems = append(problems, problem{name, errors.New("there is no such setting")})
			continue
		}
		env[name] = strings.TrimSpace(text)
	}
	slices.SortFunc(problems, func(a, b problem) int { return strings.Compare(a.where, b.where) })
	return env, problems
}

var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isServiceLink knows the variables that Kubernetes gives every container for a
// service called bitjang, or bitjang-anything. Nobody mistyped them.
func isServiceLink(name, text string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(text, "://")
}

// fileValue is a value in the file and where it stands.
type fileValue struct {
	text string
	line int
}

func (c *config) readFile(flags *pflag.FlagSet) (map[string]fileValue, []problem) {
	name, _ := flags.GetString("config")
	asked := name != ""
	if !asked {
		name = defaultFile
	}
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil, nil
	} else if err != nil {
		return nil, []problem{{"--config", err}}
	}
	c.file = name
	return parseFile(name, raw)
}

// parseFile reads the words as they are written: `off` is off and not false,
// `010` is no octal number.
func parseFile(name string, raw []byte) (map[string]fileValue, []problem) {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, []problem{{name, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))}}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, []problem{{name, errors.New("is not a list of lines like `listen: 127.0.0.1:8080`")}}
	}
	var problems []problem
	values := map[string]fileValue{}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, node := pairs[i], pairs[i+1]
		text, err := nodeText(node)
		switch _, twice := values[key.Value]; {
		case !slices.ContainsFunc(settings, func(s setting) bool { return s.key() == key.Value }):
			err = errors.New("there is no such setting")
		case twice:
			err = errors.New("is set a second time")
		}
		if err != nil {
			problems = append(problems, problem{fmt.Sprintf("%s:%d: %s", name, key.Line, key.Value), err})
		} else if text != "" {
			values[key.Value] = fileValue{text, key.Line}
		}
	}
	return values, problems
}

// nodeText reads one value, or a sequence of them.
func nodeText(node *yaml.Node) (string, error) {
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", nil
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind == yaml.SequenceNode:
		var words []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("is neither a word nor a list of words")
			}
			words = append(words, item.Value)
		}
		return strings.Join(words, ","), nil
	}
	return "", errors.New("is neither a word nor a list of words")
}

// refusals asks the packages behind what they think of the whole, and calls
// the fields they complain of by the names of our settings.
func refusals(c *config, values []value) []problem {
	sound := bitjang.Config{Issuer: "http://localhost", Store: noStore{}, MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}}
	trial := c.service
	trial.Store, trial.MasterKeys = sound.Store, sound.MasterKeys
	if trial.Issuer == "" {
		trial.Issuer = sound.Issuer // complained about already
	}
	if c.sendsMail() {
		trial.Mailer = &server.Mailer{}
	}
	var problems []problem
	_, err := bitjang.New(trial)
	for _, err := range split(err) {
		problems = append(problems, attribute(err, values))
	}
	svc, err := bitjang.New(sound)
	if err == nil {
		_, err = server.New(svc, c.server)
	}
	for _, err := range split(err) {
		problems = append(problems, attribute(err, values))
	}
	return problems
}

// attribute finds the setting behind "Field: what is wrong with it".
func attribute(err error, values []value) problem {
	field, rest, _ := strings.Cut(err.Error(), ": ")
	field, _, _ = strings.Cut(field, ",")
	for _, v := range values {
		if v.field != "" && v.field == field {
			return problem{fmt.Sprintf("%s (from %s)", v.name, v.source), errors.New(rest)}
		}
	}
	return problem{"settings", err}
}

// split takes a joined error apart.
func split(err error) []error {
	for err != nil {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			return joined.Unwrap()
		}
		inner := errors.Unwrap(err)
		if inner == nil {
			return []error{err}
		}
		err = inner
	}
	return nil
}
