package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
)

// passwordSource says where a password comes from. Never from an argument:
// every user of a machine can read those.
type passwordSource struct {
	stdin    bool
	generate bool
}

func (s *passwordSource) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.stdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&s.generate, "generate", false, "make up a password and print it, once")
}

var errTwoPasswords = usage(errors.New("more than one source is given for the password"), "choose one of --password-stdin, --password-hash-stdin and --generate")

func (p *program) password(s passwordSource) (bitjang.Secret, error) {
	switch {
	case s.generate && s.stdin:
		return bitjang.Secret{}, errTwoPasswords
	case s.generate:
		return bitjang.NewSecret(rand.Text()), nil
	}
	if !s.stdin {
		if !isTerminal(p.in) {
			return bitjang.Secret{}, usage(errors.New("no password is given"), "pipe it in with --password-stdin, or let --generate make one up")
		}
		fmt.Fprint(p.err, "Password (it shows while you type): ")
	}
	text, err := p.readLine("password")
	return bitjang.NewSecret(text), err
}

// printGenerated is the one place that prints a secret: the password that the
// operator asked us to make up, and that nobody could know otherwise.
func (p *program) printGenerated(s passwordSource, password bitjang.Secret) {
	if s.generate {
		fmt.Fprintf(p.out, "Password: %s\n", password.Reveal())
	}
}

// maxLine is more than any password or hash has.
const maxLine = 4 << 10

// readLine reads the first line of standard input, without its end.
func (p *program) readLine(what string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(p.in, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", fmt.Errorf("there is no %s on standard input", what)
	}
	return line, nil
}

// isTerminal says that somebody may be there to type.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
