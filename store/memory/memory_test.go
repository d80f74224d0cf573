package memory_test

import (
	"testing"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
	"github.com/bitjang/bitjang/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) bitjang.Store { return memory.New() })
}
