// Package servers starts the real database servers for tests, benchmarks and
// fault suites: PostgreSQL, MariaDB, Redis, Redis with Sentinel and a Redis
// Cluster, from the programs installed on this machine, on private ports of
// 127.0.0.1, with their data in throw-away folders. Servers that the machine
// runs as its own services are never touched.
//
// It sets nothing that weakens durability: what is measured on these servers
// is measured with their own defaults.
//
// It knows nothing of Bitjang, and only tests and the bench command may import
// it. A server ends with its Close, and at the latest with the program that
// started it, even if that program is killed: see home.
package servers
