package sqlstore

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

// mysqlGroup is a group of confirmations as a table: one parameter, so one
// prepared statement, whatever the size of the group.
const mysqlGroup = `JSON_TABLE(?, '$[*]' COLUMNS (
	id CHAR(32) PATH '$.id', generation BIGINT PATH '$.g', nonce CHAR(16) PATH '$.n', parent CHAR(16) PATH '$.p',
	now BIGINT PATH '$.t', idle_expires_at BIGINT PATH '$.i')) AS c
	STRAIGHT_JOIN sessions ON sessions.id = UNHEX(c.id)`

func mysqlDialect() *dialect {
	return &dialect{
		name: "mysql", goose: goose.DialectMySQL,
		// INSERT IGNORE would forgive every other mistake too.
		ignore: func(column string) string { return " ON DUPLICATE KEY UPDATE " + column + " = " + column },
		joins:  true,
		// It assigns from left to right: seen_before_at must come first.
		// The rows that a group has moved carry its number: nothing else tells
		// them from those that another node has moved to the same token.
		confirm: `UPDATE ` + mysqlGroup + ` SET
			sessions.generation = c.generation, sessions.nonce = UNHEX(c.nonce), sessions.parent = UNHEX(c.parent),
			confirmed_at = c.now, child_at = c.now, child_seen_at = 0,
			seen_before_at = last_seen_at, last_seen_at = c.now, sessions.idle_expires_at = c.idle_expires_at, version = version + 1, batch = ?
			WHERE sessions.generation = c.generation - 1 AND sessions.nonce = UNHEX(c.parent) AND ended_at = 0 AND held_at = 0 AND key_thumbprint = ''
			AND sessions.idle_expires_at > c.now AND expires_at > c.now`,
		confirmed:    `SELECT sessions.id, ` + confirmedColumns + ` FROM ` + mysqlGroup + ` WHERE batch = ?`,
		confirmGroup: confirmMySQL,
		lock:         `SELECT GET_LOCK('bitjang_migrate', 60)`,
		unlock:       `SELECT RELEASE_LOCK('bitjang_migrate')`,
		duplicate:    func(err error) bool { return mysqlNumber(err) == 1062 },
		transient: func(err error) bool {
			n := mysqlNumber(err)
			return n == 1213 || n == 1205 || n == 1020 // deadlock, lock wait timeout, record has changed (MariaDB's snapshot isolation)
		},
	}
}

// mysqlNumber returns the number of a server's error, or 0.
func mysqlNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

func openMySQL(ctx context.Context, s *Store, address string) error {
	u, opt, err := parseServer(address)
	if err != nil {
		return err
	}
	config, err := mysqlConfig(u)
	if err != nil {
		return err
	}
	config.Timeout = opt.timeout
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return redactError(err, u)
	}
	s.d = mysqlDialect()
	return s.openServer(ctx, sql.OpenDB(readCommitted{connector}), opt)
}

// readCommitted makes connections of that isolation: without gap locks two
// groups hardly ever meet. It is a statement because the variable's name is not
// the same in MySQL and MariaDB.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func mysqlConfig(u *url.URL) (*mysql.Config, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Collation = "utf8mb4_bin"
	config.Logger = mysqlSilence{} // errors are returned; nothing is to be printed beside that
	config.Params = map[string]string{
		"sql_mode": "'TRADITIONAL'", // what does not fit is an error
	}
	for name, values := range u.Query() {
		switch name {
		case "tls":
			config.TLSConfig = values[0]
		case "ca":
			pem, err := os.ReadFile(values[0])
			if err != nil {
				return nil, fmt.Errorf("ca: %w", err)
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("ca: no certificate in %s", values[0])
			}
			config.TLS = &tls.Config{RootCAs: pool, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
		default:
			return nil, fmt.Errorf("no such parameter: %s", name)
		}
	}
	return config, nil
}

// mysqlSilence drops what the driver would print.
type mysqlSilence struct{}

func (mysqlSilence) Print(...any) {}

// confirmMySQL confirms a group in one transaction of two statements.
func confirmMySQL(ctx context.Context, s *Store, group []*confirming) ([]moved, error) {
	type row struct {
		ID         string `json:"id"`
		Generation uint32 `json:"g"`
		Nonce      string `json:"n"`
		Parent     string `json:"p"`
		Now        int64  `json:"t"`
		Idle       int64  `json:"i"`
	}
	table := make([]row, len(group))
	for i, c := range group {
		table[i] = row{hex.EncodeToString(c.ID[:]), c.Generation, hex.EncodeToString(c.Nonce[:]), hex.EncodeToString(c.Parent[:]), millis(c.Now), millis(c.IdleExpiresAt)}
	}
	text, err := json.Marshal(table)
	if err != nil {
		return nil, err
	}
	var batch [8]byte
	rand.Read(batch[:])
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to undo once committed
	n, err := affected(tx.StmtContext(ctx, s.stmts.confirmSession).ExecContext(ctx, text, batch[:]))
	if err != nil || n == 0 {
		return nil, err
	}
	rows, err := tx.StmtContext(ctx, s.stmts.confirmedSessions).QueryContext(ctx, text, batch[:])
	list, err := collect(rows, err, scanMoved)
	if err != nil {
		return nil, err
	}
	return list, tx.Commit()
}
