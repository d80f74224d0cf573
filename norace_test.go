//go:build !race

package bitjang_test

const raced = false
