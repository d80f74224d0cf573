package servers

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// freePorts chooses n ports of 127.0.0.1 that nobody listens on. They lie below
// the ports that systems give to outgoing connections (Linux: from 32768):
// otherwise a client could be given the port of a server that was killed, and
// the server could not come back to it.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []net.Listener // until all are chosen, so that none is chosen twice
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		l, err := listen(port)
		if err != nil {
			continue
		}
		held, ports = append(held, l), append(ports, port)
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports on 127.0.0.1 between 20000 and 32000")
}

func portFree(port int) bool {
	l, err := listen(port)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
