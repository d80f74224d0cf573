package bitjang

import (
	"hash/maphash"
	"sync"
	"time"
)

// nearLimits are buckets in this node's memory: for what protects the node and
// decides nothing about safety, so that each node may count for itself. They
// cost no store call. Their number is bounded: where more keys come than there
// is room for, those that have not been touched for longest are forgotten.
type nearLimits struct {
	seed   maphash.Seed
	shards [nearShards]nearShard
}

const (
	nearShards = 16
	// nearKeys is how many keys a shard holds in each of its two generations:
	// 131,072 in all, some 5 MB.
	nearKeys = 4096
)

type nearShard struct {
	mu         sync.Mutex
	young, old map[uint64]int64 // key to the millisecond at which the bucket is empty
}

func newNearLimits() *nearLimits { return &nearLimits{seed: maphash.MakeSeed()} }

// wait is how long to wait until there is room for one of a step; nothing is spent.
func (n *nearLimits) wait(key string, now time.Time, st allowance) time.Duration {
	hash := maphash.String(n.seed, key)
	sh := &n.shards[hash%nearShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	stored, ok := sh.young[hash]
	if !ok {
		stored = sh.old[hash]
	}
	late := max(now.UnixMilli(), stored) + st.refill.Milliseconds() - now.UnixMilli() - st.capacity().Milliseconds()
	return time.Duration(max(late, 0)) * time.Millisecond
}

// spend is LimitStore.Spend for one of a step. It returns how long to wait if
// there is no room.
func (n *nearLimits) spend(key string, now time.Time, st allowance) time.Duration {
	hash := maphash.String(n.seed, key) // with a seed nobody knows: nobody can aim at a bucket
	at, cost, capacity := now.UnixMilli(), st.refill.Milliseconds(), st.capacity().Milliseconds()
	sh := &n.shards[hash%nearShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	stored, ok := sh.young[hash]
	if !ok {
		stored = sh.old[hash]
	}
	empty, wait := max(at, stored)+cost, time.Duration(0)
	if late := empty - at - capacity; late > 0 {
		empty, wait = stored, time.Duration(late)*time.Millisecond
	}
	if !ok && len(sh.young) >= nearKeys || sh.young == nil {
		sh.old, sh.young = sh.young, map[uint64]int64{}
	}
	sh.young[hash] = empty
	return wait
}

// len is how many keys there are.
func (n *nearLimits) len() int {
	total := 0
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		total += len(sh.young) + len(sh.old)
		sh.mu.Unlock()
	}
	return total
}
