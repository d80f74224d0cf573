//go:build race

package bitjang_test

// raced says that the race detector is on, with which guesses cost six times as much.
const raced = true
