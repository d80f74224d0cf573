package bitjang_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite api.txt and deps.txt")

const module = "github.com/bitjang/bitjang"

// house says which of our own packages each package may import, without tests.
// Rules are in the root, bytes at the edges: request -> server -> Service ->
// store. A package that is not listed may not exist.
var house = map[string][]string{
	"internal/jws":      {},
	"internal/dpop":     {"internal/jws"},
	"internal/passhash": {},
	"verify":            {"internal/dpop", "internal/jws"},
	"":                  {"verify", "internal/dpop", "internal/jws", "internal/passhash"},
	"passkey":           {""},
	"store/memory":      {""},
	"store/sqlstore":    {""},
	"store/redisstore":  {""},
	"store/storetest":   {""},
	"internal/servers":  {},
	"internal/web":      {""},
	"internal/api":      {"", "internal/web"},
	"internal/oauth":    {"", "internal/web", "verify"},
	"internal/i18n":     {},
	"internal/mail":     {"", "internal/i18n"},
	"internal/pages":    {"", "internal/i18n", "internal/mail", "internal/web"},
	"server":            {"", "internal/api", "internal/i18n", "internal/mail", "internal/oauth", "internal/pages", "internal/web"},
	"cmd/bitjang":       {"", "passkey", "server", "store/sqlstore", "store/redisstore"},
	"bench/feed":        {"", "internal/jws", "store/sqlstore", "verify"},
	"bench/oauth":       {},
	"bench":             {"", "internal/servers", "store/sqlstore", "store/redisstore", "verify"},
}

// public are the packages that embedders import.
var public = []string{"", "passkey", "verify", "server", "store/sqlstore", "store/redisstore", "store/storetest", "store/memory", "passkey"}

type goPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports, Deps   []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func ours(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func TestHouse(t *testing.T) {
	for _, p := range listPackages(t) {
		name, _ := ours(p.ImportPath)
		allowed, listed := house[name]
		if !listed {
			t.Errorf("package %q has no line in arch_test.go: does it need to be a package?", name)
			continue
		}
		for _, imported := range p.Imports {
			if other, is := ours(imported); is && !slices.Contains(allowed, other) {
				t.Errorf("package %q imports %q, which stands above or beside it", name, other)
			}
		}
	}
}

// TestNothingGlobalNothingLazy finds init functions, and HTTP or SQL in the root.
func TestNothingGlobalNothingLazy(t *testing.T) {
	for _, p := range listPackages(t) {
		name, _ := ours(p.ImportPath)
		if name == "" || name == "verify" || name == "internal/jws" {
			for _, bad := range []string{"database/sql", "html/template", "os"} {
				if slices.Contains(p.Imports, bad) {
					t.Errorf("package %q imports %s: bytes belong to the edges", name, bad)
				}
			}
		}
		for _, file := range p.GoFiles {
			src, err := parser.ParseFile(token.NewFileSet(), path.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range src.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has an init function", path.Join(name, file))
				}
			}
		}
	}
}

// TestAPI keeps api.txt, every exported name of every public package. A change
// to it wants a line in the CHANGELOG.
func TestAPI(t *testing.T) {
	var lines []string
	for _, p := range listPackages(t) {
		name, _ := ours(p.ImportPath)
		if !slices.Contains(public, name) {
			continue
		}
		for _, file := range p.GoFiles {
			src, err := parser.ParseFile(token.NewFileSet(), path.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range src.Decls {
				for _, exported := range exportedNames(d) {
					lines = append(lines, path.Join("bitjang", name)+": "+exported)
				}
			}
		}
	}
	golden(t, "api.txt", lines)
}

func exportedNames(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() {
			return nil
		}
		if d.Recv == nil {
			return []string{"func " + d.Name.Name}
		}
		receiver := d.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if id, ok := receiver.(*ast.Ident); ok && id.IsExported() {
			return []string{"method " + id.Name + "." + d.Name.Name}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			names = append(names, exportedSpec(d.Tok, spec)...)
		}
	}
	return names
}

func exportedSpec(kind token.Token, spec ast.Spec) (names []string) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			if n.IsExported() {
				names = append(names, kind.String()+" "+n.Name)
			}
		}
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		names = append(names, "type "+spec.Name.Name)
		var fields *ast.FieldList
		switch body := spec.Type.(type) {
		case *ast.StructType:
			fields = body.Fields
		case *ast.InterfaceType:
			fields = body.Methods
		default:
			return names
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				if n.IsExported() {
					names = append(names, "type "+spec.Name.Name+"."+n.Name)
				}
			}
		}
	}
	return names
}

// TestDependencies keeps deps.txt: the modules that each public package pulls
// into an embedder's program.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{.ImportPath}} {{.Module.Path}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	moduleOf := map[string]string{}
	for line := range strings.Lines(string(out)) {
		pkg, mod, _ := strings.Cut(strings.TrimSpace(line), " ")
		moduleOf[pkg] = mod
	}
	var lines []string
	for _, p := range listPackages(t) {
		name, _ := ours(p.ImportPath)
		if !slices.Contains(public, name) {
			continue
		}
		for _, dep := range p.Deps {
			if mod := moduleOf[dep]; mod != "" && mod != module {
				lines = append(lines, path.Join("bitjang", name)+": "+mod)
			}
		}
	}
	golden(t, "deps.txt", lines)
}

// golden compares sorted lines with a file, or writes it with -update.
func golden(t *testing.T, file string, lines []string) {
	t.Helper()
	sort.Strings(lines)
	got := strings.Join(slices.Compact(lines), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, line := range difference(got, string(want)) {
		t.Errorf("%s: %s; if that is meant, go test -run '%s' . -update, and a line in CHANGELOG.md", file, line, t.Name())
	}
}

func difference(got, want string) (diff []string) {
	have, had := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range have {
		if !slices.Contains(had, line) {
			diff = append(diff, fmt.Sprintf("new: %q", line))
		}
	}
	for _, line := range had {
		if !slices.Contains(have, line) {
			diff = append(diff, fmt.Sprintf("gone: %q", line))
		}
	}
	return diff
}

// TestStandards looks that every test which docs/standards.md and the threat model
// name is there.
func TestStandards(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`).FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range []string{"docs/standards.md", "docs/threat-model.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(text, -1) {
			if named++; !there[string(m[1])] {
				t.Errorf("%s names %s, which is nowhere", page, m[1])
			}
		}
	}
	if named < 150 {
		t.Errorf("only %d tests are named", named)
	}
}
