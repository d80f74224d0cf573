// Package mail writes the mails that users get and hands them to a mail server.
//
// It decides how a bitjang.Mail looks in English and in Korean, as HTML and as
// plain text, what a stranger's text may do in it (be read, nothing else), how
// far a mail server is trusted, and which of its refusals are final.
//
// It never decides who gets which mail, or when one is tried again: that is the
// root package's. It never makes, stores or logs a link.
//
// Only what puts a server together (cmd/bitjang) may import it. It imports the
// root package and internal/i18n.
package mail
